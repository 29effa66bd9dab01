"use strict";
// A click on a dot, a span or a time moves the player there; the red line follows the player.
{
  const video = document.getElementById("video");
  const now = document.getElementById("now");
  if (video) {
    for (const part of document.querySelectorAll("[data-time]")) {
      part.addEventListener("click", () => {
        video.currentTime = Number(part.dataset.time);
        video.scrollIntoView({ block: "nearest" });
      });
    }
    const follow = () => {
      const { left, right, seconds } = now.dataset;
      const share = Math.min(1, video.currentTime / Number(seconds));
      now.setAttribute("transform", `translate(${share * (Number(right) - Number(left))} 0)`);
    };
    video.addEventListener("error", () => { // the coding, or the file is not beside the page any more
      const text = document.createElement("p");
      text.className = "none";
      text.textContent = "This browser cannot play the video, or does not find it beside this page.";
      video.replaceWith(text);
      now.remove();
    });
    video.addEventListener("timeupdate", follow);
    video.addEventListener("seeked", follow);
  } else {
    now.remove();
  }
}
