// Hooks of wfledger: `wfledger setup opencode` wrote this, `--remove` takes it away.
import { spawn } from "node:child_process"

const WRITERS = new Set(["bash", "edit", "multiedit", "write", "patch", "apply_patch"])
const NO = 2

const ask = (event, cwd, said) =>
  new Promise((resolve) => {
    const child = spawn("wfledger", ["hook", "opencode", event], { cwd })
    let err = ""
    child.on("error", () => resolve({ status: 0, err })) // wfledger is not installed here
    child.on("close", (status) => resolve({ status, err: err.trim() }))
    child.stderr.on("data", (part) => (err += part))
    child.stdout.resume()
    child.stdin.on("error", () => {})
    child.stdin.end(JSON.stringify({ cwd, ...said }))
  })

// Set up for the project and for the user as well, it is loaded twice; one of them answers.
const owners = (globalThis.wfledgerHooks ??= new Map())

export const Wfledger = async ({ client, directory }) => {
  if ((owners.get(directory) ?? import.meta.url) !== import.meta.url) return {}
  owners.set(directory, import.meta.url)
  return hooks(client, directory)
}

const hooks = (client, directory) => ({
  "tool.execute.before": async (input, output) => {
    if (!WRITERS.has(input.tool)) return
    const said = { session_id: input.sessionID, tool_name: input.tool, tool_input: output.args }
    const answer = await ask("PreToolUse", directory, said)
    if (answer.status === NO) throw new Error(answer.err)
  },
  "tool.execute.after": async (input, output) => {
    const said = {
      session_id: input.sessionID,
      tool_name: input.tool,
      tool_input: input.args,
      tool_response: output.output ?? output.content, // the latter is what a server's tool answers
    }
    const answer = await ask("PostToolUse", directory, said)
    if (answer.status !== NO) return
    if (Array.isArray(output.content)) output.content.push({ type: "text", text: answer.err })
    else output.output = `${output.output ?? ""}\n\n${answer.err}`
  },
  event: async ({ event }) => {
    if (event.type !== "session.idle") return
    const id = event.properties.sessionID
    const session = await client.session.get({ path: { id } })
    if (session.data?.parentID) return // a sub-agent's
    const answer = await ask("Stop", directory, { session_id: id })
    if (answer.status !== NO) return
    await client.session.prompt({ path: { id }, body: { parts: [{ type: "text", text: answer.err }] } })
  },
})
