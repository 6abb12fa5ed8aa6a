// Sets the theme before anything is painted. "auto" follows the system.
(() => {
  let theme = 'auto';
  try {
    theme = localStorage.getItem('barid.theme') || 'auto';
  } catch {
    /* storage is off: follow the system */
  }
  if (theme !== 'auto') document.documentElement.dataset.theme = theme;
})();
