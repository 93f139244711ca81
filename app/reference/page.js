// Everything is built as elements, never as markup: the page's policy allows no innerHTML.
const $ = id => document.getElementById(id);
const make = (tag, attributes = {}, ...children) => {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in e && name !== "list") e[name] = value; else e.setAttribute(name, value);
  }
  e.append(...children.filter(c => c != null));
  return e;
};

let spec = {};
const resolve = schema => {
  for (let i = 0; schema?.$ref && i < 20; i++) schema = schema.$ref.split("/").slice(1).reduce((at, name) => at?.[name.replaceAll("~1", "/").replaceAll("~0", "~")], spec);
  return schema ?? {};
};

// kindOf is a schema's type in a few words.
const kindOf = schema => {
  const s = resolve(schema), types = [s.type].flat().filter(Boolean);
  const words = types.map(t => t === "array" ? `list of ${kindOf(s.items)}` : s.format && t !== "object" ? `${t} (${s.format})` : t);
  const choice = s.oneOf ?? s.anyOf;
  return words.join(" or ") || (choice ? choice.map(kindOf).join(" or ") : "anything");
};

const boundsOf = s => [
  s.enum && `one of ${s.enum.map(v => JSON.stringify(v)).join(", ")}`,
  s.default !== undefined && `default ${JSON.stringify(s.default)}`,
  s.minimum !== undefined && `from ${s.minimum}`, s.maximum !== undefined && `to ${s.maximum}`,
  s.minLength !== undefined && `${s.minLength} characters or more`, s.maxLength !== undefined && `at most ${s.maxLength} characters`,
  s.pattern && `like ${s.pattern}`,
].filter(Boolean).join("; ");

// fieldsOf shows an object's members, and theirs; a schema within itself once. Of what is
// asked for it says what has to be there.
const fieldsOf = (schema, asked, above = []) => {
  const s = resolve(schema);
  if (above.includes(s) || above.length > 6) return null;
  const inner = [s.type].flat().includes("array") ? resolve(s.items) : s;
  if (inner !== s) return fieldsOf(inner, asked, [...above, s]);
  const members = Object.entries(s.properties ?? {}).filter(([name]) => name !== "$schema");
  if (!members.length) return null;
  return make("ul", {className: "fields"}, ...members.map(([name, member]) => fieldOf(name, member, asked, asked && (s.required ?? []).includes(name), [...above, s])));
};

const fieldOf = (name, member, asked, required, above, description) => {
  const m = resolve(member), bounds = boundsOf(m), told = description ?? member.description ?? m.description;
  return make("li", {}, make("code", {}, name), " ", make("span", {className: "type"}, kindOf(member)), " ",
    required ? make("span", {className: "must"}, "required") : null,
    told || bounds ? make("div", {className: "quiet"}, [told, bounds].filter(Boolean).join(" · ")) : null, fieldsOf(member, asked, above));
};

// exampleOf is the least that a schema wants.
const exampleOf = (schema, depth = 0) => {
  const s = resolve(schema);
  if (s.default !== undefined) return s.default;
  if (s.examples?.length) return s.examples[0];
  if (s.enum) return s.enum[0];
  switch ([s.type].flat().find(t => t !== "null")) {
    case "object": {
      const out = {};
      if (depth < 5) for (const name of s.required ?? []) if (s.properties?.[name]) out[name] = exampleOf(s.properties[name], depth + 1);
      return out;
    }
    case "array": return [];
    case "integer": case "number": return s.minimum ?? 0;
    case "boolean": return false;
    case "string": return s.format === "uuid" ? "00000000-0000-0000-0000-000000000000" : "";
  }
  return {};
};

const whoMay = op => {
  if (!op.security?.length) return "Anybody.";
  return op.security.some(way => !Object.keys(way).length) ? "Anybody; without credentials as a guest." : "Needs an account: X-API-Key or Authorization: Bearer.";
};

const media = content => Object.entries(content ?? {});

const inside = o => {
  const {path, method, op} = o;
  const box = make("div", {className: "inside"}, make("p", {className: "quiet"}, whoMay(op)));
  if (op.description) box.append(make("p", {}, op.description));
  if (op.parameters?.length) {
    box.append(make("h3", {}, "Parameters"), make("ul", {className: "fields"}, ...op.parameters.map(p =>
      fieldOf(p.name, p.schema ?? {}, true, p.required, [], [`in the ${p.in}`, p.description].filter(Boolean).join(" · ")))));
  }
  for (const [type, body] of media(op.requestBody?.content)) {
    box.append(make("h3", {}, `Body, ${type}`), fieldsOf(body.schema, true) ?? make("p", {className: "quiet"}, kindOf(body.schema)));
  }
  for (const [status, response] of Object.entries(op.responses ?? {})) {
    box.append(make("h3", {}, status === "default" ? "Errors" : `Answer ${status}`));
    const types = media(response.content);
    if (!types.length) box.append(make("p", {className: "quiet"}, response.description ?? ""));
    for (const [type, body] of types) box.append(fieldsOf(body.schema, false) ?? make("p", {className: "quiet"}, `${type}: ${response.description || kindOf(body.schema)}`));
  }
  box.append(make("h3", {}, "Try it"), tryIt(path, method, op));
  return box;
};

const tryIt = (path, method, op) => {
  const inputs = (op.parameters ?? []).filter(p => p.in !== "cookie").map(p => ({p, input: make("input", {placeholder: p.required ? "required" : "", spellcheck: false, autocomplete: "off"})}));
  const json = op.requestBody?.content?.["application/json"];
  const bodyless = method === "get" || method === "head";
  const body = json || (!bodyless && !op.requestBody) ? make("textarea", {ariaLabel: "Body", spellcheck: false, value: json ? JSON.stringify(exampleOf(json.schema), null, 2) : "{}"}) : null;
  const told = make("span", {className: "quiet", role: "status"}), answer = make("pre", {hidden: true});
  const send = make("button", {type: "submit"}, "Send");
  const form = make("form", {className: "try"}, ...inputs.map(({p, input}) => make("label", {}, make("code", {}, p.name), input)), body, make("div", {className: "row"}, send, told), answer);
  form.addEventListener("submit", async event => {
    event.preventDefault();
    let at = path;
    const query = new URLSearchParams(), headers = {};
    for (const {p, input} of inputs) {
      if (p.in === "path") at = at.replace(`{${p.name}}`, encodeURIComponent(input.value));
      else if (input.value && p.in === "query") query.append(p.name, input.value);
      else if (input.value && p.in === "header") headers[p.name] = input.value;
    }
    if ($("key").value) headers["X-API-Key"] = $("key").value.trim();
    if (body) headers["Content-Type"] = "application/json";
    send.disabled = true;
    told.textContent = "Asking…";
    const begun = performance.now();
    try {
      const response = await fetch(at + (query.size ? `?${query}` : ""), {method: method.toUpperCase(), headers, body: body ? body.value : undefined, cache: "no-store"});
      const type = response.headers.get("Content-Type") ?? "";
      const text = /json|text/.test(type) ? await response.text() : `${(await response.blob()).size} bytes of ${type || "nothing"}`;
      told.textContent = [`${response.status} ${response.statusText}`.trim(), `${Math.round(performance.now() - begun)} ms`, response.headers.get("RateLimit")].filter(Boolean).join(" · ");
      try { answer.textContent = JSON.stringify(JSON.parse(text), null, 2); } catch { answer.textContent = text; }
      answer.hidden = !text;
    } catch (error) {
      told.textContent = `No answer: ${error.message}`;
    }
    send.disabled = false;
  });
  return form;
};

const methods = ["get", "post", "put", "patch", "delete", "head"];
const all = [];

const show = () => {
  const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const o of all) {
    o.card.hidden = o.link.hidden = !words.every(w => o.text.includes(w));
  }
  for (const heading of document.querySelectorAll("[data-tag]")) {
    heading.hidden = !all.some(o => o.tag === heading.dataset.tag && !o.card.hidden);
  }
  const found = all.filter(o => !o.card.hidden).length;
  $("state").hidden = found > 0;
  $("state").textContent = "Nothing has all of these words.";
};

const open = () => {
  const o = all.find(o => o.card.id === decodeURIComponent(location.hash.slice(1)));
  if (!o) return;
  o.card.hidden = false;
  o.card.open = true;
  o.card.scrollIntoView();
};

const start = async () => {
  const response = await fetch("/openapi.json");
  if (!response.ok) throw new Error(`/openapi.json answers ${response.status}`);
  spec = await response.json();
  $("version").textContent = spec.info.version;
  const tags = new Map();
  for (const [path, item] of Object.entries(spec.paths)) {
    for (const method of methods) {
      const op = item[method];
      if (op) tags.set(op.tags?.[0] ?? "", [...tags.get(op.tags?.[0] ?? "") ?? [], {path, method, op}]);
    }
  }
  for (const tag of [...tags.keys()].sort()) {
    $("nav").append(make("b", {"data-tag": tag}, tag));
    $("main").append(make("h2", {"data-tag": tag}, tag));
    for (const o of tags.get(tag)) {
      const {path, method, op} = o, id = op.operationId;
      const card = make("details", {className: "operation", id}, make("summary", {},
        make("span", {className: `method ${method}`}, method.toUpperCase()), make("span", {className: "path"}, path), make("span", {className: "quiet"}, op.summary ?? "")));
      card.addEventListener("toggle", () => { if (card.open && card.children.length === 1) card.append(inside(o)); });
      const link = make("a", {href: `#${id}`, title: op.summary ?? ""}, make("span", {className: `method ${method}`}, method.toUpperCase()), path);
      $("nav").append(link);
      $("main").append(card);
      all.push({tag, card, link, text: `${method} ${path} ${op.summary ?? ""} ${tag}`.toLowerCase()});
    }
  }
  show();
  open();
};

$("search").addEventListener("input", show);
window.addEventListener("hashchange", open);
start().catch(error => { $("state").textContent = `The document can't be read: ${error.message}`; });
