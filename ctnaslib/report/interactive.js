// Draws an interactive chart with Apache ECharts, which it loads once for all the charts of a page. It holds no character
// that would end a script in HTML.
(id, options, labels, axes, script) => {
  const at = document.getElementById(id);
  const read = ({name, unit, digits, names}, value) => {
    const number = value => digits === null
      ? value.toLocaleString("en", {maximumSignificantDigits: 3})
      : value.toLocaleString("en", {minimumFractionDigits: digits, maximumFractionDigits: digits});
    const text = names ? names[value] : number(value) + unit;
    return name ? `${name}: ${text}` : text;
  };
  options.tooltip.formatter = point => [
    point.seriesName.startsWith("series\u0000") ? "" : point.seriesName, // ECharts' name for none
    (labels[point.seriesIndex] ?? [])[point.dataIndex] ?? "",
    read(axes.x, point.value[axes.turned ? 1 : 0]),
    read(axes.y, point.value[axes.turned ? 0 : 1]),
  ].filter(line => line).join("\n");
  for (const [axis, of] of [[options.xAxis, axes.turned ? axes.y : axes.x], [options.yAxis, axes.turned ? axes.x : axes.y]]) {
    if (!of.names) axis.axisLabel.formatter = value => value.toLocaleString("en", {maximumSignificantDigits: 15});
  }
  window.ctnasECharts ??= new Promise((loaded, failed) => {
    if (window.echarts) return loaded();
    const jupyter = document.getElementById("jupyter-config-data");
    const element = document.createElement("script");
    element.src = (jupyter ? JSON.parse(jupyter.textContent).baseUrl : "") + script;
    element.onload = loaded;
    element.onerror = failed;
    document.head.append(element);
  });
  window.ctnasECharts.then(() => {
    const chart = echarts.init(at, null, {renderer: "canvas"});
    chart.setOption(options);
    new ResizeObserver(() => chart.resize()).observe(at);
  }, () => {
    window.ctnasECharts = undefined; // so that a later chart tries again
    at.style.height = "auto";
    at.textContent = "The interactive chart needs JupyterLab as kernel-setup starts it. The picture shows the same.";
  });
}
