// The capture time of a JPEG, from its EXIF data.

const EXIF = 0x8769;
const TAKEN = 0x9003;
const CHANGED = 0x0132;

// Seconds by the camera's clock, read as UTC; null where the file states none. file: a Blob.
export async function captureTime(file) {
  try {
    const data = new DataView(await file.slice(0, 128 * 1024).arrayBuffer());
    if (data.getUint16(0) !== 0xffd8) return null;
    for (let at = 2; data.getUint8(at) === 0xff; at += 2 + data.getUint16(at + 2)) {
      const marker = data.getUint8(at + 1);
      if (marker === 0xda) return null;
      if (marker === 0xe1 && data.getUint32(at + 4) === 0x45786966) return timeIn(data, at + 10);
    }
  } catch { /* cut off or damaged */ }
  return null;
}

function timeIn(data, start) {
  const little = data.getUint16(start) === 0x4949;
  const short = (at) => data.getUint16(start + at, little);
  const long = (at) => data.getUint32(start + at, little);
  const entry = (directory, tag) => {
    for (let n = 0; n < short(directory); n += 1) {
      const at = directory + 2 + 12 * n;
      if (short(at) === tag) return long(at + 8);
    }
    return null;
  };
  const first = long(4);
  const inner = entry(first, EXIF);
  const at = (inner === null ? null : entry(inner, TAKEN)) ?? entry(first, CHANGED);
  if (at === null) return null;
  const text = Array.from({ length: 19 }, (_, n) => String.fromCharCode(data.getUint8(start + at + n))).join("");
  const found = /^(\d{4}):(\d\d):(\d\d) (\d\d:\d\d:\d\d)$/.exec(text);
  const time = found ? Date.parse(`${found[1]}-${found[2]}-${found[3]}T${found[4]}Z`) : NaN;
  return Number.isNaN(time) ? null : time / 1000;
}
