import { $, button, el } from './dom.js';

// Opens the one dialog of the page; closing it leaves nothing behind. The browser keeps the focus inside and gives it
// back afterwards.
export function openDialog(title, ...content) {
  const box = $('dialog');
  if (box.open) box.close();
  box.replaceChildren(
    el('header', {}, el('h2', { id: 'dialog-title' }, title), button('✕', { class: 'plain', 'aria-label': 'Close', onclick: closeDialog })),
    ...content);
  box.showModal();
  box.querySelector('[autofocus]')?.focus();
}
export const closeDialog = () => $('dialog').close();

export function listenToDialog() {
  $('dialog').addEventListener('click', e => { if (e.target === $('dialog')) closeDialog(); });
  $('dialog').addEventListener('close', () => $('dialog').replaceChildren());
}
