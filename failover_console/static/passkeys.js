// Passkeys: the one step of a log-in that needs a script.  A form says what it is for (data-passkey) and what the console asks
// (data-options); its button asks the passkey, puts the answer into the field `credential` and sends the form.
const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (each) => each.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const ids = (list) => (list ?? []).map((each) => ({ ...each, id: bytes(each.id) }));
const SAID = {
  NotAllowedError: "No passkey answered in time, or you said no.",
  InvalidStateError: "This passkey is added already.",
  SecurityError: "The browser uses passkeys only at the console’s own name, over https.",
};

function written(credential) {
  const { response } = credential;
  const parts = ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"];
  const found = parts.filter((part) => response[part]).map((part) => [part, text(response[part])]);
  return JSON.stringify({
    id: credential.id, rawId: text(credential.rawId), type: credential.type, response: Object.fromEntries(found),
    authenticatorAttachment: credential.authenticatorAttachment ?? undefined, clientExtensionResults: credential.getClientExtensionResults(),
  });
}

async function create(form) {
  const { publicKey } = JSON.parse(form.dataset.options);
  const alone = form.elements.passwordless.checked;
  const wanted = { ...publicKey.authenticatorSelection, residentKey: alone ? "required" : "discouraged", requireResidentKey: alone };
  if (alone) wanted.userVerification = "required";
  const user = { ...publicKey.user, id: bytes(publicKey.user.id) };
  const asked = { ...publicKey, user, challenge: bytes(publicKey.challenge), excludeCredentials: ids(publicKey.excludeCredentials) };
  return navigator.credentials.create({ publicKey: { ...asked, authenticatorSelection: wanted } });
}

async function get(options) {
  const { publicKey } = options;
  return navigator.credentials.get({
    publicKey: { ...publicKey, challenge: bytes(publicKey.challenge), allowCredentials: ids(publicKey.allowCredentials) },
  });
}

async function login(form) {
  const answer = await fetch(form.action, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error("The console did not answer. Try again.");
  return get((await answer.json()).request_options);
}

const ASK = { create, login, get: (form) => get(JSON.parse(form.dataset.options)) };

for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (!window.PublicKeyCredential) continue;
  form.hidden = false;
  const said = form.querySelector("[role=alert][hidden]");
  form.querySelector("button[type=button]").addEventListener("click", async () => {
    said.hidden = true;
    try {
      form.elements.credential.value = written(await ASK[form.dataset.passkey](form));
      form.submit();
    } catch (trouble) {
      said.textContent = SAID[trouble.name] ?? trouble.message;
      said.hidden = false;
    }
  });
}
