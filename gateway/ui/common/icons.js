/** Line icons, drawn as SVG elements. Always beside words, so they are hidden from screen readers. */

const SVG = "http://www.w3.org/2000/svg";

/** Paths on a 24 × 24 grid, stroked in the colour of the text. */
const PATHS = {
  check: "M5 12.5l4.5 4.5L19 7.5",
  double: "M2.5 12.5L7 17l9-9.5M11.5 16l1 1L22 7.5",
  pause: "M9 6v12M15 6v12",
  spinner: "M12 3a9 9 0 1 0 9 9",
  qr: "M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 14h2v2h-2zM18 18h2v2h-2zM19 14h1M14 19v1",
  phone: "M8 3h8a1 1 0 0 1 1 1v16a1 1 0 0 1-1 1H8a1 1 0 0 1-1-1V4a1 1 0 0 1 1-1zM11 18h2",
  unlink:
    "M10.5 8l2.2-2.2a3.9 3.9 0 0 1 5.5 5.5L16 13.5M13.5 16l-2.2 2.2a3.9 3.9 0 0 1-5.5-5.5L8 10.5M4 4l2.5 2.5M20 20l-2.5-2.5",
  clock: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7v5l3.5 2",
  question: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM9.5 9.5a2.5 2.5 0 1 1 3.5 2.3c-.7.3-1 .9-1 1.7M12 16.8v.2",
  alert: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7.5v5.5M12 16.3v.2",
  close: "M6 6l12 12M18 6L6 18",
  back: "M15 5l-7 7 7 7",
  down: "M6 9l6 6 6-6",
  up: "M6 15l6-6 6 6",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.5 15.5L20 20",
  send: "M4 12l16-7-5 15-3.5-6z",
  chat: "M4 5h16v11H10l-5 4v-4H4z",
  plus: "M12 5v14M5 12h14",
  image: "M4 5h16v14H4zM4 16l5-5 4 4 2-2 5 5M15.5 9.5h.1",
  video: "M4 6h11v12H4zM15 10.5l5-3v9l-5-3",
  audio:
    "M12 4a2.5 2.5 0 0 1 2.5 2.5v5a2.5 2.5 0 0 1-5 0v-5A2.5 2.5 0 0 1 12 4zM6 11.5a6 6 0 0 0 12 0M12 17.5V21",
  document: "M6 3h8l4 4v14H6zM14 3v4h4M9 12h6M9 16h6",
  sticker: "M5 4h14v9l-6 7H5zM13 20v-7h6",
  location:
    "M12 21s7-6.2 7-11.5A7 7 0 0 0 5 9.5C5 14.8 12 21 12 21zM12 7.5a2.2 2.2 0 1 0 0 4.4 2.2 2.2 0 0 0 0-4.4z",
  contact: "M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM4.5 20a7.5 7.5 0 0 1 15 0",
  poll: "M6 20V10M12 20V4M18 20v-7",
  reaction: "M12 20s-7.5-4.6-7.5-10A4.3 4.3 0 0 1 12 7.3 4.3 4.3 0 0 1 19.5 10C19.5 15.4 12 20 12 20z",
  unknown: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM8 12h.1M12 12h.1M16 12h.1",
  order: "M5 7h14l-1.2 10.5a2 2 0 0 1-2 1.5H8.2a2 2 0 0 1-2-1.5zM9 10V6.5a3 3 0 0 1 6 0V10",
  product: "M4 12.5V5a1 1 0 0 1 1-1h7.5l7.5 7.5-8.5 8.5zM8.5 8.5h.1",
  payment: "M3 6h18v12H3zM3 10h18M7 15h4",
  event: "M4 6h16v14H4zM4 10.5h16M8.5 3.5v4M15.5 3.5v4",
  call: "M8.6 4.5L10.3 8.4 8.2 10.2a12.5 12.5 0 0 0 5.6 5.6l1.8-2.1 3.9 1.7v3.1a1.8 1.8 0 0 1-2 1.8C10.4 19.6 4.4 13.6 3.7 6.5a1.8 1.8 0 0 1 1.8-2z",
  missed: "M8.6 4.5L10.3 8.4 8.2 10.2a12.5 12.5 0 0 0 5.6 5.6l1.8-2.1 3.9 1.7v3.1a1.8 1.8 0 0 1-2 1.8C10.4 19.6 4.4 13.6 3.7 6.5a1.8 1.8 0 0 1 1.8-2zM15 4l5 5M20 4l-5 5",
  people: "M9 5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7zM2.5 19.5a6.5 6.5 0 0 1 13 0M16 5.3a3.5 3.5 0 0 1 0 6.4M18 14a6.5 6.5 0 0 1 3.5 5.5",
  pulse: "M3 12h4l2.5-7 5 14 2.5-7h4",
  gear: "M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM12 3v2.5M12 18.5V21M3 12h2.5M18.5 12H21M5.6 5.6l1.8 1.8M16.6 16.6l1.8 1.8M5.6 18.4l1.8-1.8M16.6 7.4l1.8-1.8",
  pen: "M5 19l.8-4L15.6 5.2a2 2 0 0 1 2.8 0l.4.4a2 2 0 0 1 0 2.8L9 18.2zM13.5 7.3l3.2 3.2",
  more: "M6 12h.1M12 12h.1M18 12h.1",
  smile: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM8.5 14a4 4 0 0 0 7 0M9 9.5h.1M15 9.5h.1",
  play: "M8 5.5v13l11-6.5z",
  camera: "M4 7.5h3.5L9 5h6l1.5 2.5H20v11H4zM12 10a3 3 0 1 0 0 6 3 3 0 0 0 0-6z",
  reply: "M9.5 6L4 11.5 9.5 17M4.5 11.5h9a6 6 0 0 1 6 6v1",
  copy: "M9 8h10v12H9zM15 8V4H5v12h4",
  trash: "M5 7h14M10 7V4.5h4V7M7 7l1 13h8l1-13M10.5 11v5M13.5 11v5",
  download: "M12 4v11M7.5 11l4.5 4.5 4.5-4.5M5 20h14",
  next: "M9 5l7 7-7 7",
  hand: "M8 13V6.5a1.5 1.5 0 0 1 3 0V11m0-5.5a1.5 1.5 0 0 1 3 0V11m0-4a1.5 1.5 0 0 1 3 0v7a6 6 0 0 1-6 6h-.6a6 6 0 0 1-5-2.7L3.5 13.6a1.5 1.5 0 0 1 2.4-1.8L8 14",
  done: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM8 12.3l2.8 2.8L16 9.5",
  dot: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8z",
  block: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM6 6l12 12",
  bell: "M6 17V11a6 6 0 0 1 12 0v6l1.5 1.5h-15zM10 21h4",
  mute: "M11 5.5L7.5 9H4v6h3.5l3.5 3.5zM15.5 9.5l5 5M20.5 9.5l-5 5",
  link: "M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.3l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3A4 4 0 0 0 11 18.7l1-1",
  logout: "M14 4H5v16h9M10 12h11M17.5 8.5L21 12l-3.5 3.5",
  keyboard: "M3 6.5h18v11H3zM7 10h.1M10.5 10h.1M14 10h.1M17.5 10h.1M8 14h8",
  key: "M15.5 4a4.5 4.5 0 1 0 0 9a4.5 4.5 0 0 0 0-9M12 11.5L4 19.5M7 16.5l2.5 2.5",
  user: "M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM4.5 20a7.5 7.5 0 0 1 15 0",
};

/** @typedef {keyof typeof PATHS} IconName */

/** @param {IconName} name */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", `wa-icon wa-icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}
