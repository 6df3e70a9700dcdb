// Fills in the last payload of the event name that was chosen, unless somebody has typed a payload.
(() => {
  "use strict";
  const form = document.getElementById("event-form");
  const { name, data, user } = form.elements;
  const told = document.getElementById("filled");
  // what the form held when it came, or when it was last filled in
  let untouched = data.value + user.value;
  let asked = name.value;

  async function fill() {
    const wanted = name.value.trim();
    if (!wanted || wanted === asked || data.value + user.value !== untouched) return;
    asked = wanted;
    const answer = await fetch(`${form.dataset.last}?${new URLSearchParams({ name: wanted })}`);
    // the viewer may have gone on meanwhile
    if (answer.status !== 200 || name.value.trim() !== wanted) return;
    const last = await answer.json();
    if (data.value + user.value !== untouched) return;
    data.value = last.data;
    user.value = last.user;
    untouched = data.value + user.value;
    told.textContent = `Filled in with the last event of this name, ${last.id}.`;
  }

  name.addEventListener("change", fill);
  name.addEventListener("input", () => {
    if ([...form.querySelectorAll("#names option")].some((one) => one.value === name.value)) fill();
  });
})();
