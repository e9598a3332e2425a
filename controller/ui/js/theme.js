// Light or dark: as the system says, until somebody chooses. The choice is forgotten with the page.

const button = document.querySelector("#theme");
const system = matchMedia("(prefers-color-scheme: dark)");
let chosen;

function apply() {
  const theme = chosen ?? (system.matches ? "dark" : "light");
  document.documentElement.dataset.theme = theme;
  button.textContent = theme === "dark" ? "Light" : "Dark";
}

system.addEventListener("change", apply);
button.addEventListener("click", () => {
  chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  apply();
});
apply();
