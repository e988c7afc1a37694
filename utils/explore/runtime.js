// Brings the boxes of a static page to life: the part of a widget model that modules use.
function start(name, module) {
  for (const box of document.querySelectorAll(`div.explorable[data-name="${name}"]`)) {
    const state = JSON.parse(box.dataset.state);
    const listeners = new Map();
    const model = {
      get: (key) => state[key],
      set(key, value) {
        if (state[key] === value) return;
        state[key] = value;
        for (const f of listeners.get(`change:${key}`) ?? []) f();
      },
      on(event, f) {
        listeners.set(event, [...(listeners.get(event) ?? []), f]);
      },
      off(event, f) {
        listeners.set(event, (listeners.get(event) ?? []).filter((g) => g !== f));
      },
      save_changes() {},
    };
    const el = document.createElement("div");
    module.render({ model, el });
    box.replaceChildren(el);
  }
}
