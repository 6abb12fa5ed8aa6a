// Finds operations in the reference while somebody types. Without it the page is the same, but for the field.

const find = document.getElementById('find');
const entries = [...document.querySelectorAll('.contents li')];

find.hidden = false;
find.addEventListener('input', () => {
  const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const li of entries) {
    const target = document.getElementById(li.firstElementChild.getAttribute('href').slice(1));
    const text = `${li.textContent} ${target?.querySelector('.summary')?.textContent ?? ''}`.toLowerCase();
    li.hidden = !words.every((w) => text.includes(w));
  }
  for (const group of document.querySelectorAll('.contents details')) group.hidden = !group.querySelector('li:not([hidden])');
});
addEventListener('keydown', (e) => {
  if (e.key === '/' && !e.target.closest('input')) {
    e.preventDefault();
    find.focus();
  }
});
