// Three look at the same change, each at something else; one puts their findings together.
// A workflow (and nothing else) is described here: nothing of this file is executed.
export default workflow({
  "id": "audit",
  "goal": "Audit the way tokens are checked",
  "budget": {"max_parallel": 3},
  "nodes": [
    {
      "branch": {
        "id": "look",
        "children": [
          {"agent": {"id": "correctness", "prompt": "Read src/token.py and say what is wrong. Do not await answers.", "agent_type": "review"}},
          {"agent": {"id": "security", "prompt": "Read src/token.py (and what may import it) as an attacker would.", "agent_type": "review"}},
          {"agent": {"id": "tests", "prompt": "Say which branches of src/token.py no test takes.", "agent_type": "verifier"}}
        ]
      }
    },
    {"reduce": {"id": "verdict", "inputs": ["correctness", "security", "tests"], "prompt": "Merge the findings, the worst first."}}
  ]
});
