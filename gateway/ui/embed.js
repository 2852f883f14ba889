/** For other sites: one module script that defines `<whatsapp-inbox>` and `<whatsapp-sessions>` and brings their style. */

import "./inbox/inbox.js";
import "./sessions/sessions.js";
import { el } from "./shared/dom.js";

for (const name of ["shared/theme", "shared/base", "inbox/inbox", "inbox/thread", "sessions/sessions", "sessions/linking"]) {
  document.head.append(el("link", { rel: "stylesheet", href: new URL(`${name}.css`, import.meta.url).href }));
}
