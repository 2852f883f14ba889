/** The bars of a voice message. */

const SVG = "http://www.w3.org/2000/svg";
const BARS = 32;
const STEP = 5;
const HEIGHT = 26;

/** @param {number[] | string | null | undefined} given  64 values of 0–100, or the same in base64 */
export function bars(given) {
  let values = Array.isArray(given) ? given : [];
  if (typeof given === "string") {
    try {
      values = [...atob(given)].map((letter) => letter.charCodeAt(0));
    } catch {
      values = [];
    }
  }
  if (!values.length) return Array.from({ length: BARS }, () => 0.12);
  return Array.from({ length: BARS }, (_, at) => {
    const from = Math.floor((at * values.length) / BARS);
    const to = Math.max(from + 1, Math.floor(((at + 1) * values.length) / BARS));
    const part = values.slice(from, to).map((value) => Math.min(100, Math.max(0, Number(value) || 0)));
    return Math.max(0.12, Math.max(...part) / 100);
  });
}

/** @param {number[] | string | null | undefined} given */
export function waveform(given) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${BARS * STEP} ${HEIGHT}`);
  svg.setAttribute("class", "wa-wave");
  svg.setAttribute("aria-hidden", "true");
  bars(given).forEach((share, at) => {
    const height = Math.max(4, share * HEIGHT);
    const bar = document.createElementNS(SVG, "rect");
    bar.setAttribute("x", String(at * STEP + 1));
    bar.setAttribute("y", String((HEIGHT - height) / 2));
    bar.setAttribute("width", "3");
    bar.setAttribute("height", String(height));
    bar.setAttribute("rx", "1.5");
    svg.append(bar);
  });
  return svg;
}

/** Colours the bars that have been heard. @param {Element} svg @param {number} share  0–1 */
export function showHeard(svg, share) {
  [...svg.children].forEach((bar, at) => bar.classList.toggle("wa-heard", (at + 0.5) / BARS <= share));
}
