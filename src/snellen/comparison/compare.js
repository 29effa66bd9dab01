// The slider: which layers lie left and right of the edge, and where the edge is.
const stage = document.querySelector(".stage");
if (stage) {
  const layers = [...stage.querySelectorAll(".layer")];
  const at = document.getElementById("at");
  const sides = ["left", "right"].map((side) => document.getElementById(side));
  const show = () => {
    for (const layer of layers) {
      sides.forEach((side) => layer.classList.toggle(side.id, layer.dataset.layer === side.value));
    }
    stage.style.setProperty("--at", `${at.value}%`);
    stage.classList.toggle("bare", !document.getElementById("boxes").checked);
  };
  const drag = (event) => {
    const box = stage.getBoundingClientRect();
    at.value = (100 * (event.clientX - box.left)) / box.width;
    show();
  };
  stage.addEventListener("pointermove", (event) => event.buttons && drag(event));
  stage.addEventListener("pointerdown", drag);
  for (const input of [at, ...sides, document.getElementById("boxes")]) input.addEventListener("input", show);
  show();
}
