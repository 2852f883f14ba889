/** Node 20 has no WebSocket of its own; browsers, which the examples are written for, have one. */

import { WebSocket } from "ws";

globalThis.WebSocket = WebSocket;
