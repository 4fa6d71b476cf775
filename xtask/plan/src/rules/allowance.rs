//! Comments that allow what a rule finds: `# xtask: allow=RULE why` above the instruction. One without
//! a reason, for a rule that does not exist, or for nothing, is itself a finding.

use xtask_model::config::nearest;
use xtask_model::dockerfile::{Dockerfile, Instruction};

use super::{ALLOWANCE, Allowed, Broken, Judgement, RULES};

/// One rule that a comment allows.
struct Allowance<'a> {
    /// Where the comment is.
    line: usize,
    /// Where the instruction below it begins; `None` below the last one.
    at: Option<usize>,
    rule: &'a str,
    reason: &'a str,
}

/// Takes out of `broken` what the file's comments allow, and adds what is wrong with them.
pub fn apply(file: &Dockerfile, broken: Vec<Broken>) -> Judgement {
    let allowances = allowances(file);
    let allows = |broken: &Broken| {
        let on = |allowance: &&Allowance<'_>| {
            allowance.rule == broken.rule && allowance.at == Some(broken.line)
        };
        allowances.iter().find(on)
    };
    let mut judgement = Judgement::default();
    let mut wrong: Vec<Broken> = allowances
        .iter()
        .filter_map(|allowance| {
            let used = broken.iter().filter_map(allows).any(|used| std::ptr::eq(used, allowance));
            allowance.problem(used)
        })
        .collect();
    for broken in broken {
        match allows(&broken) {
            None => judgement.broken.push(broken),
            Some(allowance) if allowance.reason.is_empty() => {}
            Some(allowance) => judgement.allowed.push(Allowed {
                line: broken.line,
                rule: broken.rule,
                reason: allowance.reason.to_owned(),
            }),
        }
    }
    judgement.broken.append(&mut wrong);
    judgement.broken.sort_by_key(|broken| broken.line);
    judgement
}

fn allowances(file: &Dockerfile) -> Vec<Allowance<'_>> {
    let stages = file
        .stages
        .iter()
        .flat_map(|stage| std::iter::once(&stage.from).chain(&stage.instructions));
    let attached = file.preamble.iter().chain(stages).flat_map(|instruction: &Instruction| {
        instruction.comments.iter().map(|comment| (Some(instruction.line), comment))
    });
    let comments = attached.chain(file.trailing_comments.iter().map(|comment| (None, comment)));
    comments
        .filter_map(|(at, (line, text))| {
            let allow = text.strip_prefix("xtask:")?.trim_start().strip_prefix("allow=")?;
            let (rules, reason) = allow.split_once(char::is_whitespace).unwrap_or((allow, ""));
            let new = move |rule| Allowance { line: *line, at, rule, reason: reason.trim() };
            Some(rules.split(',').map(new))
        })
        .flatten()
        .collect()
}

impl Allowance<'_> {
    /// What is wrong with it.
    fn problem(&self, used: bool) -> Option<Broken> {
        let rule = self.rule;
        let known = || RULES.iter().map(|rule| rule.name);
        let (detail, remedy) = if !known().any(|name| name == rule) {
            let like = nearest(rule, known()).map(|name| format!("; did you mean `{name}`?"));
            let detail = format!("there is no rule `{rule}`{}", like.unwrap_or_default());
            (detail, "write `# xtask: allow=RULE why`".to_owned())
        } else if !used {
            let detail = format!("it allows `{rule}`, which nothing below it breaks");
            (detail, "take the comment away, or put it right above the instruction".to_owned())
        } else if self.reason.is_empty() {
            let detail = format!("it allows `{rule}` and does not say why");
            (detail, format!("write `# xtask: allow={rule} why`"))
        } else {
            return None;
        };
        Some(Broken { line: self.line, rule: ALLOWANCE, detail, remedy })
    }
}
