//! The plan that can be made ahead, before any job has run: for `--dry-run`.

use std::collections::BTreeMap;

use serde::Serialize;

use xtask_model::failure::Failure;
use xtask_model::workflow::Workflow;

use super::{Decision, Instance, Play, StepPlan, Told, decide, order, step};

/// A workflow as far as it is known ahead.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CiPlan {
    pub file: &'static str,
    pub told: Told,
    pub jobs: Vec<JobPlan>,
}

/// One job; what it runs is empty when it is skipped.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobPlan {
    pub job: String,
    pub decision: Decision,
    pub runs: Vec<Vec<StepPlan>>,
}

impl JobPlan {
    /// Each run of the job with what becomes of its steps.
    pub fn instances(&self) -> impl Iterator<Item = (&Instance, &[StepPlan])> {
        let instances = match &self.decision {
            Decision::Run { instances, .. } => instances.as_slice(),
            Decision::Skip(_) => &[],
        };
        instances.iter().zip(self.runs.iter().map(Vec::as_slice))
    }
}

pub fn plan(play: Play, workflow: &Workflow, told: Told) -> Result<CiPlan, Failure> {
    let contexts = told.contexts();
    let mut jobs = Vec::new();
    for job in order(workflow)? {
        let decision = decide(job, &contexts, None)?;
        let mut runs = Vec::new();
        if let Decision::Run { instances, .. } = &decision {
            for instance in instances {
                let contexts = match &instance.matrix {
                    Some(matrix) => contexts.clone().with("matrix", matrix.clone()),
                    None => contexts.clone(),
                };
                let none = BTreeMap::new();
                let steps = job
                    .steps
                    .iter()
                    .map(|one| step(workflow, job, one, &told, &contexts, &none))
                    .collect::<Result<Vec<_>, _>>()?;
                runs.push(steps);
            }
        }
        jobs.push(JobPlan { job: job.id.clone(), decision, runs });
    }
    Ok(CiPlan { file: play.file(), told, jobs })
}
