// Ticking what a key may do means that it may not do everything.
document.addEventListener('change', ({ target }) => {
  if (!target.matches('[data-chooses]') || !target.checked) return;
  target.form.querySelector(`[name=access][value=${target.dataset.chooses}]`).checked = true;
});
