/** Files of the customer's phone: picked ones and recorded ones, as an inbound message carries them. */

const THUMBNAIL_PX = 72;

/** @param {Blob} blob @returns {Promise<string>} its bytes in base64 */
async function base64(blob) {
  const url = await new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(new Error("The file cannot be read."));
    reader.readAsDataURL(blob);
  });
  return url.slice(url.indexOf(",") + 1);
}

/** What WhatsApp would make of a file of that type. */
export function kindOf(mime) {
  const family = mime.split("/")[0];
  if (mime === "image/jpeg" || mime === "image/png") return "image";
  if (mime === "image/webp") return "sticker";
  return family === "audio" || family === "video" ? family : "document";
}

/** Size and small preview of a picture, as a phone puts them into its message. */
async function seen(blob) {
  const bitmap = await createImageBitmap(blob);
  const scale = THUMBNAIL_PX / Math.max(bitmap.width, bitmap.height);
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const url = canvas.toDataURL("image/jpeg", 0.5);
  return { width: bitmap.width, height: bitmap.height, jpegThumbnail: url.slice(url.indexOf(",") + 1) };
}

/** @param {File} file @returns {Promise<object>} `media` of an inbound message */
export async function mediaOf(file) {
  const mime = file.type || "application/octet-stream";
  const media = { kind: kindOf(mime), mime, name: file.name, base64: await base64(file) };
  if (media.kind !== "image") return media;
  return { ...media, ...(await seen(file).catch(() => ({}))) };
}

/** A recording under way. `stop()` gives the file. Throws where the browser has no microphone for us. */
export async function record() {
  if (!navigator.mediaDevices?.getUserMedia || !globalThis.MediaRecorder) {
    throw new Error("This browser does not record here. Choose the sample voice note instead.");
  }
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true }).catch(() => {
    throw new Error("The microphone is not available. Choose the sample voice note instead.");
  });
  const wished = ["audio/ogg;codecs=opus", "audio/webm;codecs=opus", "audio/mp4"];
  const mimeType = wished.find((type) => MediaRecorder.isTypeSupported(type));
  const recorder = new MediaRecorder(stream, mimeType ? { mimeType } : {});
  const parts = [];
  recorder.ondataavailable = (event) => parts.push(event.data);
  const began = performance.now();
  recorder.start();
  return {
    async stop() {
      await new Promise((resolve) => {
        recorder.onstop = resolve;
        recorder.stop();
      });
      for (const track of stream.getTracks()) track.stop();
      const mime = recorder.mimeType.split(";")[0];
      const seconds = Math.max(1, Math.round((performance.now() - began) / 1000));
      return { kind: "audio", mime, seconds, base64: await base64(new Blob(parts, { type: mime })) };
    },
  };
}
