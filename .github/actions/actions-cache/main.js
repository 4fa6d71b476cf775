// Writes the variables to the environment file of the job, and masks the token in the log.
const { appendFileSync } = require("node:fs");

for (const name of ["ACTIONS_RUNTIME_TOKEN", "ACTIONS_RESULTS_URL"]) {
  const value = process.env[name] ?? "";
  if (value === "" || /[\r\n]/.test(value)) {
    console.log(`::warning::${name} is not set; the gha cache tier will be unusable`);
    continue;
  }
  if (name.endsWith("TOKEN")) console.log(`::add-mask::${value}`);
  appendFileSync(process.env.GITHUB_ENV, `${name}=${value}\n`);
}
