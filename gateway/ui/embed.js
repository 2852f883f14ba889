/** For other sites: one module script that defines `<whatsapp-inbox>` and `<whatsapp-sessions>` and brings their style. */

import "./inbox/inbox.js";
import "./sessions/sessions.js";
import { el } from "./common/dom.js";

document.head.append(el("link", { rel: "stylesheet", href: new URL("embed.css", import.meta.url).href }));
