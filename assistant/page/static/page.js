// The viewer and the keyboard of the page. Knows nothing of reports: it shows what a feed names.
(() => {
  "use strict";
  const page = (window.voxcite = { viewer: null, feed: {}, ready: false, send: null, line: null });
  const find = (selector) => document.querySelector(selector);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const SIDES = { left: [240, 228, 66, 255], right: [204, 121, 167, 255], none: [240, 228, 66, 255] };
  const OVERLAYS = ["labels", "entropy", "mutual"]; // of the viewer, in this order above the scan
  const WINDOWS = { auto: null, wide: [0, 1], narrow: [0.15, 0.6], bright: [0, 0.4] };
  const COLOURS = {
    R: [0, 255, 0, 255, 0], G: [0, 140, 180, 140, 180], B: [0, 0, 255, 0, 255],
    A: [0, 255, 255, 255, 255], I: [0, 1, 2, 3, 4],
  };

  // ---- from and to the server
  page.bridge = (trigger) => { page.send = (event, data) => trigger(event, data); };
  // One after the other, so that what an earlier feed still loads is gone before the next is shown.
  page.take = (text) => { page.taken = (page.taken || Promise.resolve()).then(() => taken(text)); };
  async function taken(text) {
    const feed = text ? JSON.parse(text) : {};
    const before = page.feed;
    page.feed = feed;
    if (!find("#vx-canvas")) return;
    offerSurface(feed);
    if (feed.study !== before.study) clear();
    if (feed.study && (feed.study !== before.study || feed.stage !== before.stage)) await load(feed);
    if (key(feed) !== page.besides) await lay(feed);
  }

  function offerSurface(feed) {
    const link = find("#vx-surface");
    link.hidden = feed.stage !== "found";
    if (!link.hidden) link.href = `/study/${feed.study}/file/surface.glb`;
  }

  // ---- the viewer
  const url = (name) => `/study/${page.feed.study}/file/${name}`;
  const hasWebGl2 = () => {
    if (new URLSearchParams(location.search).has("no-webgl")) return false;
    try { return !!document.createElement("canvas").getContext("webgl2"); } catch { return false; }
  };

  async function viewer() {
    if (page.viewer) return page.viewer;
    const nv = await attached("#vx-canvas");
    nv.onIntensityChange = showWindow;
    nv.onLocationChange = (place) => { located(place.mm); follow(place.mm); };
    page.viewer = nv;
    return nv;
  }

  async function attached(canvas) {
    const nv = new window.niivue.Niivue({
      backColor: [0, 0, 0, 1], crosshairColor: [1, 0.9, 0.2, 0.9], isRadiologicalConvention: true,
      show3Dcrosshair: true, isOrientCube: false, textHeight: 0.05, fontColor: [1, 1, 1, 1],
      showAllOrientationMarkers: true, multiplanarPadPixels: 14,
      meshThicknessOn2D: 0, // a plane shows the labels of that plane, not a surface seen through it
      loadingText: "", dragAndDropEnabled: false, isResizeCanvas: true, logLevel: "error",
      multiplanarShowRender: window.niivue.SHOW_RENDER.NEVER,
    });
    await nv.attachToCanvas(find(canvas));
    nv.setSliceType(nv.sliceTypeMultiplanar);
    return nv;
  }

  // ---- a prior scan beside the current one; a place of one is shown at its place in the other
  const key = (feed) => (feed.prior ? `${feed.study} ${JSON.stringify(feed.prior)}` : "");
  page.besides = "";
  async function lay(feed) {
    page.besides = key(feed);
    const prior = (page.beside = feed.prior || null);
    if (page.prior) page.prior.volumes.slice().forEach((volume) => page.prior.removeVolume(volume));
    find("#vx-figure-prior").hidden = find("#vx-slices-prior").hidden = !prior;
    all("#vx-stage figcaption").forEach((caption) => { caption.hidden = !prior; });
    if (!prior) {
      if (page.viewer) page.viewer.resizeListener();
      return;
    }
    const days = [prior.current_date, prior.date];
    all("#vx-stage .vx-day").forEach((out, n) => { out.textContent = days[n] || out.dataset.undated; });
    if (!hasWebGl2()) return;
    if (!page.prior) {
      page.prior = await attached("#vx-canvas-prior");
      page.prior.onLocationChange = (place) => lead(place.mm);
    }
    const nv = page.prior;
    await gathered(nv, async () => {
      await nv.loadVolumes([{ url: url("prior.nii.gz"), name: "prior.nii.gz", colormap: "gray" }]);
      nv.setRadiologicalConvention(page.viewer.opts.isRadiologicalConvention);
    });
    [nv, page.viewer].forEach((one) => one.resizeListener());
    follow(page.mm || feed.centre || [0, 0, 0]);
  }

  const through = (m, mm) => [0, 1, 2].map((row) => m[row][0] * mm[0] + m[row][1] * mm[1] + m[row][2] * mm[2] + m[row][3]);
  function inverse(m) {
    const [[a, b, c, x], [d, e, f, y], [g, h, i, z]] = m;
    const D = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
    const r = [[e * i - f * h, c * h - b * i, b * f - c * e], [f * g - d * i, a * i - c * g, c * d - a * f], [d * h - e * g, b * g - a * h, a * e - b * d]]
      .map((row) => row.map((value) => value / D));
    return r.map((row) => [...row, -(row[0] * x + row[1] * y + row[2] * z)]);
  }
  function follow(mm) {
    if (!page.beside || !page.beside.to_prior || !page.prior || !page.prior.volumes.length) return;
    page.prior.scene.crosshairPos = page.prior.mm2frac(through(page.beside.to_prior, mm));
    page.prior.drawScene();
  }
  function lead(mm) {
    if (!page.beside || !page.beside.to_prior || !page.viewer.volumes.length) return;
    const own = through(inverse(page.beside.to_prior), mm);
    page.viewer.scene.crosshairPos = page.viewer.mm2frac(own);
    page.viewer.drawScene();
    located(own);
  }

  function located(mm) {
    const [x, y, z] = [...mm].map((value) => Number(value).toFixed(1));
    page.mm = [Number(x), Number(y), Number(z)];
    const out = find("#vx-mm");
    if (out) out.textContent = `x ${x}  y ${y}  z ${z} mm`;
  }

  // Each change of a volume or a surface draws all of them anew, which takes seconds where a browser
  // draws in software; so many changes are drawn once.
  async function gathered(nv, change) {
    nv.updateGLVolume = nv.drawScene = () => {};
    try { await change(); } finally {
      delete nv.updateGLVolume;
      delete nv.drawScene;
      nv.updateGLVolume();
    }
  }

  async function overlay(nv, feed) {
    await nv.addVolumesFromUrl([
      { url: url("segmentation.nii.gz"), name: "segmentation.nii.gz", opacity: value("labels") },
      { url: url("entropy.nii.gz"), name: "entropy.nii.gz", colormap: "viridis", opacity: value("entropy") },
      { url: url("mutual_information.nii.gz"), name: "mutual_information.nii.gz", colormap: "inferno", opacity: value("mutual") },
    ]);
    nv.volumes[1].setColormapLabel(COLOURS);
    [nv.volumes[2].cal_min, nv.volumes[2].cal_max] = [0.08, 1];
    [nv.volumes[3].cal_min, nv.volumes[3].cal_max] = [0.01, 0.25]; // networks seldom differ by more
    await nv.loadMeshes((feed.surfaces || []).map((name) => ({
      url: url(`${name}.mz3`), name: `${name}.mz3`, rgba255: SIDES[name],
    })));
  }

  async function load(feed) {
    page.ready = false;
    if (!hasWebGl2()) return fallback(feed);
    const nv = await viewer();
    try {
      await gathered(nv, async () => {
        nv.meshes.slice().forEach((mesh) => nv.removeMesh(mesh));
        await nv.loadVolumes([{ url: url("scan.nii.gz"), name: "scan.nii.gz", colormap: "gray" }]);
        page.range = [nv.volumes[0].cal_min, nv.volumes[0].cal_max];
        if (feed.stage === "found") await overlay(nv, feed);
        nv.setSliceType(nv.sliceTypeMultiplanar);
        apply("window", find("#vx-window").value, true);
      });
      page.ready = true;
      if (feed.centre) moveTo(feed.centre);
    } catch (error) { status(String(error && error.message ? error.message : error)); }
  }

  // Nothing of the study before may be seen beside the words of the next one.
  function clear() {
    page.ready = false;
    status("");
    find("#vx-mm").textContent = "";
    find("#vx-slices").hidden = true;
    all("#vx-slices img").forEach((image) => image.removeAttribute("src"));
    all("#vx-slices input").forEach((input) => { delete input.dataset.moved; });
    page.slices = null;
    const nv = page.viewer;
    if (!nv) return;
    gathered(nv, () => {
      nv.meshes.slice().forEach((mesh) => nv.removeMesh(mesh));
      nv.volumes.slice().forEach((volume) => nv.removeVolume(volume));
    });
  }

  const value = (name) => Number((find(`#vx-${name}`) || { value: 0 }).value);
  const status = (text) => { const out = find("#vx-viewer-status"); if (out) out.textContent = text; };

  function moveTo(mm) {
    if (page.viewer && page.viewer.volumes.length) {
      const nv = page.viewer;
      nv.scene.crosshairPos = nv.mm2frac(mm);
      nv.createOnLocationChange();
      nv.drawScene();
    }
    located(mm);
    follow(mm);
    if (page.slices) showSlices(mm);
  }
  page.moveTo = moveTo;

  const faded = (nv, number, share) => { // the surfaces alone are shown without any
    if (!nv.volumes[number] || nv.opts.sliceType === nv.sliceTypeRender) return;
    nv.volumes[number].opacity = Number(share);
    nv.overlays.forEach((volume, n) => nv.refreshLayers(volume, n + 1)); // the scan stays as it is
    nv.drawScene();
  };
  const acts = {
    view: (nv, name) => {
      const isSurface = name === "Render"; // the surfaces alone: the head would hide them
      const shares = [1, ...OVERLAYS.map(value)].map((share) => (isSurface ? 0 : share));
      const changed = nv.volumes.filter((volume, n) => volume.opacity !== shares[n]);
      changed.forEach((volume) => { volume.opacity = shares[nv.volumes.indexOf(volume)]; });
      if (changed.length) nv.updateGLVolume();
      nv.setSliceType(nv[`sliceType${name}`]);
      if (page.prior && !isSurface) page.prior.setSliceType(nv[`sliceType${name}`]);
    },
    convention: (nv, name) => [nv, page.prior].forEach((one) => {
      if (one) one.setRadiologicalConvention(name === "radiological");
    }),
    window: (nv, name) => {
      const [low, high] = page.range, share = WINDOWS[name];
      const volume = nv.volumes[0];
      volume.cal_min = share ? low + share[0] * (high - low) * 1.4 : low;
      volume.cal_max = share ? low + share[1] * (high - low) * 1.4 : high;
      nv.updateGLVolume();
      showWindow();
    },
    bounds: (nv) => {
      const level = value("level"), width = Math.max(value("width"), 1e-6);
      nv.volumes[0].cal_min = level - width / 2;
      nv.volumes[0].cal_max = level + width / 2;
      nv.updateGLVolume();
    },
    labels: (nv, share) => faded(nv, 1, share),
    entropy: (nv, share) => faded(nv, 2, share),
    mutual: (nv, share) => faded(nv, 3, share),
    outline: (nv, isOn) => { nv.overlayOutlineWidth = isOn ? 0.6 : 0; nv.updateGLVolume(); },
  };
  const apply = (name, given, isLoading) => { if (page.viewer && (page.ready || isLoading)) acts[name](page.viewer, given); };

  function showWindow() {
    const { cal_min: low, cal_max: high } = page.viewer.volumes[0];
    const digits = high - low < 10 ? 3 : 0;
    find("#vx-level").value = ((low + high) / 2).toFixed(digits);
    find("#vx-width").value = (high - low).toFixed(digits);
  }

  // ---- slices drawn by the server, where there is no WebGL2
  async function fallback(feed) {
    const box = find("#vx-slices");
    find("#vx-stage").hidden = true;
    box.hidden = false;
    const answer = await fetch(`/study/${feed.study}/slices`);
    if (!answer.ok) return;
    page.slices = await answer.json();
    all("#vx-slices input").forEach((input) => {
      const count = page.slices.counts[input.dataset.plane];
      input.max = count - 1;
      if (!input.dataset.moved) input.value = Math.floor(count / 2);
      drawSlice(input);
    });
    page.ready = true;
    if (feed.centre) moveTo(feed.centre);
  }

  function drawSlice(input) {
    const image = find(`#vx-slices img[data-plane="${input.dataset.plane}"]`);
    image.src = `/study/${page.feed.study}/slice/${input.dataset.plane}/${input.value}.png?${page.feed.stage}`;
  }

  function showSlices(mm) {
    const m = page.slices.to_index;
    ["sagittal", "coronal", "axial"].forEach((plane, axis) => {
      const index = m[axis][0] * mm[0] + m[axis][1] * mm[1] + m[axis][2] * mm[2] + m[axis][3];
      const input = find(`#vx-slices input[data-plane="${plane}"]`);
      input.value = Math.round(index);
      drawSlice(input);
    });
  }

  // ---- evidence
  function showRecord(id) {
    const row = document.getElementById(`record-${id}`);
    if (!row) return;
    const details = document.getElementById(`details-${id}`);
    all(".vx-record.vx-current").forEach((other) => other.classList.remove("vx-current"));
    all(".vx-details").forEach((other) => { other.hidden = true; });
    all(".vx-record button").forEach((other) => other.setAttribute("aria-expanded", "false"));
    row.classList.add("vx-current");
    if (details) {
      details.hidden = false;
      row.querySelector("button").setAttribute("aria-expanded", "true");
    }
    row.scrollIntoView({ block: "nearest" });
    if (!row.dataset.mm) return;
    moveTo(row.dataset.mm.split(",").map(Number));
    shown("outline", (input) => { input.checked = true; apply("outline", true); });
    shown("entropy", (input) => { input.value = 0.5; apply("entropy", 0.5); });
  }

  // The contour and the networks' uncertainty come with a record, until somebody sets them.
  function shown(name, show) {
    const input = find(`#vx-${name}`);
    if (input && !input.dataset.set) show(input);
  }

  // ---- choosing files
  function upload(files, zone) {
    if (!files.length) return;
    const form = new FormData();
    for (const file of files) form.append("files", file, file.webkitRelativePath || file.name);
    const bar = zone.querySelector("progress"), request = new XMLHttpRequest();
    const role = zone.dataset;
    const abort = zone.querySelector(".vx-abort");
    const show = (isOn) => { bar.hidden = abort.hidden = !isOn; };
    show(true);
    abort.onclick = () => request.abort();
    request.onabort = () => show(false);
    request.upload.onprogress = (event) => { bar.max = event.total; bar.value = event.loaded; };
    request.onload = () => {
      show(false);
      if (request.status === 200) page.send(role.event, JSON.parse(request.responseText));
      else status(`${request.status === 413 ? role.tooLarge : role.failed}${codeOf(request)}`);
    };
    request.onerror = () => { show(false); status(role.failed); };
    request.open("POST", "/upload");
    request.send(form);
  }

  function codeOf(request) {
    try { return ` [${JSON.parse(request.responseText).code}]`; } catch { return ""; }
  }

  async function dropped(transfer, zone) {
    const entries = [...transfer.items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry());
    const files = [];
    const walk = async (entry) => {
      if (entry.isFile) files.push(await new Promise((done, fail) => entry.file(done, fail)));
      if (!entry.isDirectory) return;
      const reader = entry.createReader();
      for (;;) {
        const part = await new Promise((done, fail) => reader.readEntries(done, fail));
        if (!part.length) return;
        for (const child of part) await walk(child);
      }
    };
    const plain = [...transfer.files]; // gone after the first wait
    try {
      for (const entry of entries) if (entry) await walk(entry);
    } catch { return status(zone.dataset.failed); }
    if (files.length || !entries.some(Boolean)) return upload(files.length ? files : plain, zone);
    return status(zone.dataset.empty);
  }

  // ---- one listener for each kind of event, whatever is drawn later
  document.addEventListener("click", (event) => {
    const target = event.target;
    if (!(target instanceof Element)) return;
    const cite = target.closest('a[href^="#cite-"], [data-record].vx-cite');
    if (cite) {
      event.preventDefault();
      return showRecord(cite.dataset.record || cite.getAttribute("href").slice("#cite-".length));
    }
    const row = target.closest("tr.vx-record");
    if (row) return showRecord(row.dataset.record);
    const act = target.closest("[data-act]");
    if (act) {
      all(".vx-line.vx-current").forEach((other) => other.classList.remove("vx-current"));
      if (act.dataset.act === "edit") act.closest(".vx-line").classList.add("vx-current");
      page.send(act.dataset.act === "edit" ? "edit" : "select", { line: Number(act.dataset.line) });
      return undefined;
    }
    const series = target.closest("[data-series]");
    if (series) return page.send("submit", { series: series.dataset.series });
    const file = target.closest(".vx-exports a");
    if (file) {
      event.preventDefault();
      return save(file);
    }
    const choice = target.closest("button[data-viewer]");
    if (choice) {
      all(`button[data-viewer="${choice.dataset.viewer}"]`).forEach((other) =>
        other.setAttribute("aria-pressed", String(other === choice)));
      return apply(choice.dataset.viewer, choice.dataset.value);
    }
    if (target.closest("#vx-shot")) return shoot();
    return undefined;
  });

  document.addEventListener("input", (event) => {
    const input = event.target;
    if (OVERLAYS.includes(input.id.slice(3))) apply(input.id.slice(3), input.value);
    if (input.id === "vx-outline") apply("outline", input.checked);
    if (input.id === "vx-entropy" || input.id === "vx-outline") input.dataset.set = "1";
    if (input.id === "vx-window") apply("window", input.value);
    if (input.id === "vx-level" || input.id === "vx-width") apply("bounds");
    if (input.closest && input.closest("#vx-slices")) { input.dataset.moved = "1"; drawSlice(input); }
  });

  document.addEventListener("change", (event) => {
    if (event.target.matches && event.target.matches(".vx-drop input[type=file]")) {
      upload([...event.target.files], event.target.closest(".vx-drop"));
      event.target.value = "";
    }
  });

  for (const name of ["dragover", "drop"]) {
    document.addEventListener(name, (event) => {
      const zone = event.target.closest && event.target.closest(".vx-drop");
      if (!zone) return;
      event.preventDefault();
      if (name === "drop") dropped(event.dataTransfer, zone);
    });
  }

  // ---- files: the reason is shown where one cannot be written; whoever waits can stop
  const writing = new Set();
  async function save(link) {
    const saving = new AbortController();
    const told = (text) => { find("#vx-export-status").textContent = text; };
    told("");
    writing.add(saving);
    showWriting(link.textContent);
    try {
      const answer = await fetch(link.href, { signal: saving.signal });
      if (answer.ok) keep(await answer.blob(), answer.headers.get("content-disposition"));
      else told(await answer.text());
    } catch {
      told(find("#vx-export-status").dataset[saving.signal.aborted ? "stopped" : "failed"]);
    }
    writing.delete(saving);
    showWriting(link.textContent);
  }

  function showWriting(name) {
    const box = find("#vx-exporting");
    box.hidden = writing.size === 0;
    box.querySelector("span").textContent = box.hidden ? "" : name;
    box.querySelector("button").onclick = () => writing.forEach((one) => one.abort());
  }

  function keep(blob, disposition) {
    const named = /filename="([^"]+)"/.exec(disposition || "");
    const anchor = document.createElement("a");
    anchor.href = URL.createObjectURL(blob);
    anchor.download = named ? named[1] : "report";
    anchor.click();
    setTimeout(() => URL.revokeObjectURL(anchor.href), 60000);
  }

  function shoot() {
    if (page.viewer && page.ready) page.viewer.saveScene("voxcite.png");
  }

  function step(by) {
    const lines = all(".vx-line[data-line]");
    if (!lines.length) return;
    const at = lines.indexOf(document.activeElement && document.activeElement.closest(".vx-line"));
    const line = lines[(at + by + lines.length) % lines.length];
    line.focus();
    const cite = line.querySelector(".vx-cite");
    if (cite) showRecord(cite.dataset.record);
  }

  function scroll(by) {
    if (page.viewer && page.ready) {
      page.viewer.moveCrosshairInVox(0, 0, by);
      follow(page.viewer.frac2mm(page.viewer.scene.crosshairPos));
      return;
    }
    const input = find('#vx-slices input[data-plane="axial"]');
    if (input) { input.value = Number(input.value) + by; drawSlice(input); }
  }

  const KEYS = {
    n: () => step(1), p: () => step(-1), "]": () => scroll(1), "[": () => scroll(-1),
    e: () => press("edit"), a: () => press("accept"),
  };
  function press(name) {
    const line = document.activeElement && document.activeElement.closest(".vx-line");
    const button = line && line.querySelector(`[data-act="${name}"]`);
    if (button) button.click();
  }

  // The draft is drawn anew after each act: whoever stood on a line stands there again.
  document.addEventListener("focusin", (event) => {
    const line = event.target.closest(".vx-line[data-line]");
    if (line) page.line = line.dataset.line;
    else if (!event.target.closest("#vx-editing")) page.line = null;
  });
  document.addEventListener("pointerdown", (event) => {
    if (!event.target.closest(".vx-line[data-line], #vx-editing")) page.line = null;
  });
  new MutationObserver(() => {
    if (page.line === null || document.activeElement !== document.body) return;
    const line = find(`.vx-line[data-line="${page.line}"]`);
    if (line) line.focus({ preventScroll: true });
  }).observe(document.documentElement, { childList: true, subtree: true });

  document.addEventListener("keydown", (event) => {
    const at = event.target;
    const isTyping = at.closest && at.closest("input, textarea, select, [contenteditable=true]");
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
    event.preventDefault();
    KEYS[event.key]();
  });
})();
