/** What stands beside a job about its sandbox: its URL, its start-up command, its SSH key. */

import { call } from "./api.js";
import { toast } from "./app.js";
import { attempt } from "./deeds.js";
import { refresh } from "./live.js";

for (const form of /** @type {NodeListOf<HTMLFormElement>} */ (document.querySelectorAll("[data-access]"))) {
  onSubmit(form, async (fields) => {
    const port = String(fields.get("port")).trim();
    await call("POST", form.dataset.access ?? "", { port: /^\d+$/.test(port) ? Number(port) : port });
    toast("The URL leads there");
  });
}

for (const form of /** @type {NodeListOf<HTMLFormElement>} */ (document.querySelectorAll("[data-startup]"))) {
  onSubmit(form, async (fields) => {
    await call("PATCH", form.dataset.href ?? "", { startup_command: fields.get("startup_command") });
    toast("Saved. It runs from the next start on");
  });
}

/** @param {HTMLFormElement} form @param {(fields: FormData) => Promise<void>} send */
function onSubmit(form, send) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = /** @type {HTMLButtonElement} */ (form.querySelector("[type=submit]"));
    button.disabled = true;
    await attempt(() => send(new FormData(form)));
    button.disabled = false;
    refresh();
  });
}

const dialog = /** @type {HTMLDialogElement | null} */ (document.getElementById("ssh-dialog"));
const opener = /** @type {HTMLButtonElement | null} */ (document.querySelector("[data-ssh]"));
/** @type {{name: string, text: string} | null} */
let key = null;

opener?.addEventListener("click", async () => {
  opener.disabled = true;
  await attempt(async () => {
    const access = await call("POST", opener.dataset.ssh ?? "", { port: 22 });
    key = { name: `mags-${access.ssh_port}.key`, text: access.ssh_private_key };
    const login = `chmod 600 ${key.name}\nssh -i ${key.name} -p ${access.ssh_port} ${access.ssh_user}@${access.ssh_host}`;
    fill("hosts", `echo '${access.known_hosts}' >> ~/.ssh/known_hosts`);
    fill("login", login);
    dialog?.showModal();
  });
  opener.disabled = false;
});

dialog?.querySelector("[data-ssh-key]")?.addEventListener("click", () => {
  if (!key) return;
  const link = document.createElement("a");
  link.download = key.name;
  link.href = URL.createObjectURL(new Blob([key.text]));
  link.click();
  URL.revokeObjectURL(link.href);
});

/** @param {string} name @param {string} text */
function fill(name, text) {
  const command = /** @type {HTMLElement} */ (dialog?.querySelector(`[data-command=${name}]`));
  /** @type {HTMLElement} */ (command.querySelector("code")).textContent = text;
  /** @type {HTMLElement} */ (command.querySelector("[data-copy]")).dataset.copy = text;
}
