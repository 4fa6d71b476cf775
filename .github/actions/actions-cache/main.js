// Appends the variables to the environment file of the job. The token is masked in the log.
const { appendFileSync } = require("node:fs");

for (const name of ["ACTIONS_RUNTIME_TOKEN", "ACTIONS_RESULTS_URL"]) {
  const value = process.env[name] ?? "";
  if (value === "" || /[\r\n]/.test(value)) {
    console.log(`::warning::${name} is not there; the gha cache tier will be inert`);
    continue;
  }
  if (name.endsWith("TOKEN")) console.log(`::add-mask::${value}`);
  appendFileSync(process.env.GITHUB_ENV, `${name}=${value}\n`);
}
