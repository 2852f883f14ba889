/** How large a code is drawn: every module a whole number of the screen's pixels wide, so that none is blurred. */

/** The widest code that is drawn at the full size: 65 modules and the four light ones around it, of 5 px each. */
export const ROOM_PX = 365;

/**
 * Modules of a side, with the light ones around it; null for a picture that does not say.
 *
 * @param {string} url  `data:image/svg+xml;base64,…`
 */
export function modulesOf(url) {
  const [, packed] = /^data:image\/svg\+xml;base64,([A-Za-z0-9+/=]+)$/.exec(url) ?? [];
  if (!packed) return null;
  const [, side] = /\sviewBox="0 0 (\d{2,3}) \1"/.exec(unpacked(packed)) ?? [];
  return side ? Number(side) : null;
}

/** @param {string} packed */
function unpacked(packed) {
  try {
    return atob(packed);
  } catch {
    return "";
  }
}

/**
 * The side of the picture in CSS pixels: as large as the room allows.
 *
 * @param {number | null} modules @param {number} room  CSS pixels @param {number} [ratio]  pixels of the screen in a CSS pixel
 */
export function sideOf(modules, room, ratio = 1) {
  if (!modules) return Math.floor(room);
  // Browsers that zoom have ratios such as 1.1: a pixel of the screen, not of CSS, is what stays whole.
  const pixels = Math.floor((room * ratio) / modules + 1e-6);
  return pixels < 1 ? room : (pixels * modules) / ratio;
}
