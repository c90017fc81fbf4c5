// A lane of a release, as it was once checked in: nobody had asked whether it can be read.
export default workflow({
  "goal": "Show workflows",
  "nodes": [
    {
      "sequence": {
        "id": "lane",
        "children": [
          {"agent": {"id": "read", "prompt": "Read src/ui and plan the change.", "agent_type": "plan"}},
          {
            "agent": {
              "id": "change",
              "prompt": "Make the change in src/ui.",
              "agent_type": "implementer",
              "mode": "write",
              "isolation": "worktree",
              "file_scope": ["src/ui"]
            }
          }
        ]
      }
    }
  ]
});
