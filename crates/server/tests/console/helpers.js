// What a person does with a page, for tests.
window.t = {
  // Returns the element that can be used and is called `name`.
  find(name, selector = "button, a, summary, [role=tab], [role=treeitem]") {
    const called = (element) => (element.getAttribute("aria-label") ?? element.textContent).trim();
    return Array.from((document.querySelector("dialog[open]") ?? document).querySelectorAll(selector)).find(
      (element) => called(element) === name,
    );
  },
  click(name, selector) {
    const element = t.find(name, selector);
    if (!element || element.disabled) return false;
    element.click();
    return true;
  },
  // Returns the field with this label.
  field(label) {
    const page = document.querySelector("dialog[open]") ?? document;
    const found = Array.from(page.querySelectorAll("label")).find((element) => element.textContent.trim() === label);
    return found ? document.getElementById(found.htmlFor) : page.querySelector(`[aria-label="${label}"]`);
  },
  fill(label, text) {
    const field = t.field(label);
    if (!field) return false;
    field.value = text;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    field.dispatchEvent(new Event("change", { bubbles: true }));
    return true;
  },
  // Whether the page shows this text, a dialog first.
  says(text) {
    return (document.querySelector("dialog[open]") ?? document.body).innerText.includes(text);
  },
  items() {
    return Array.from(document.querySelectorAll("[role=treeitem]"), (item) => item.dataset.key ?? item.textContent);
  },
};
