"""JavaScript by which scripts/browser.py uses and measures a page: drop and paste, contrast of texts, scroll steps."""

# Drop a picture on the page, and paste another.
DROP_AND_PASTE = """async () => {
  for (const [name, color] of [["dropped", "#486"], ["pasted", "#846"]]) {
    const canvas = new OffscreenCanvas(96, 64);
    const pen = canvas.getContext("2d");
    pen.fillStyle = color;
    pen.fillRect(0, 0, 96, 64);
    pen.clearRect(20, 20, 30, 30);
    const held = new DataTransfer();
    held.items.add(new File([await canvas.convertToBlob()], `${name}.png`, {type: "image/png"}));
    const how = {bubbles: true, cancelable: true, dataTransfer: held, clipboardData: held};
    document.dispatchEvent(name === "dropped" ? new DragEvent("drop", how) : new ClipboardEvent("paste", how));
  }
}"""

# Contrast of all visible text with the nearest opaque background (WCAG 2.2, 1.4.3): [[ratio, text], ...], least first.
CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgb = (text) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data; };
  const linear = (v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => [r, g, b].map((v) => linear(v / 255))
    .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
  const found = [];
  for (const node of document.querySelectorAll("body *")) {
    if (node.closest("svg, .picture, .blank, option") || !node.checkVisibility({visibilityProperty: true})) continue;
    const text = [...node.childNodes].filter((c) => c.nodeType === 3).map((c) => c.data.trim()).join("");
    if (!text || node.matches(":disabled")) continue;
    let behind = node;
    const seen = (one) => rgb(getComputedStyle(one).backgroundColor);
    while (behind.parentElement && seen(behind)[3] < 255) behind = behind.parentElement;
    const [a, b] = [light(rgb(getComputedStyle(node).color)), light(seen(behind))];
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), text.slice(0, 30)]);
  }
  return found.sort((a, b) => a[0] - b[0]);
}"""

# Milliseconds from setting the scroll position to the end of the frame that shows it, for each of `steps` steps.
SCROLL = """async ([steps, by]) => {
  const grid = document.getElementById("grid");
  const times = [];
  for (let n = 0; n < steps; n += 1) {
    const start = performance.now();
    grid.scrollTop += by * grid.clientHeight;
    await new Promise((done) => requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = done;
      channel.port2.postMessage(0);
    }));
    times.push(performance.now() - start);
    await new Promise((done) => setTimeout(done, 16));
  }
  return times;
}"""
