// The TypeScript SDK's client lists and calls through UAOL:
//   node sdk.mjs NODE_MODULES http URL KEY
//   node sdk.mjs NODE_MODULES stdio COMMAND ARGUMENT…
import { pathToFileURL } from "node:url";

const [modules, how, ...args] = process.argv.slice(2);
const load = (path) => import(pathToFileURL(`${modules}/@modelcontextprotocol/sdk/dist/esm/${path}`));
const { Client } = await load("client/index.js");
let transport;
if (how === "http") {
  const { StreamableHTTPClientTransport } = await load("client/streamableHttp.js");
  transport = new StreamableHTTPClientTransport(new URL(args[0]), { requestInit: { headers: { Authorization: `Bearer ${args[1]}` } } });
} else {
  const { StdioClientTransport } = await load("client/stdio.js");
  transport = new StdioClientTransport({ command: args[0], args: args.slice(1), env: process.env });
}
const client = new Client({ name: "test", version: "1" });
await client.connect(transport);
const { tools } = await client.listTools();
const result = await client.callTool({ name: "everything__echo", arguments: { message: "hello" } });
await client.close();
console.log(JSON.stringify({ tools, ...result }));
