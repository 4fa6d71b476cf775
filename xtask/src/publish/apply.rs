//! Executes a publishing plan: which steps run when, and how the outcome of each service is reported.

use std::collections::VecDeque;
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Instant;

use anyhow::Result;

use crate::model::failure::Exit;
use crate::model::publication::{PublishResult, Published, exit};
use crate::outside::{interrupt, parallel, published};
use crate::plan::publish::{Action, ServicePublication, Step};
use crate::report;

use super::steps::{Next, State, Tools, result_of};

impl<'a> Tools<'a> {
    /// Executes the whole plan, with up to `jobs` services side by side. Returns their outcomes, and the error
    /// of a step that belongs to no service, such as the GitHub release.
    pub fn apply(&'a self, jobs: usize) -> Result<(Vec<Published>, Result<()>)> {
        let is_check = |step: &&Step| matches!(step, Step::CheckImage { .. });
        let (checks, others): (Vec<&Step>, Vec<&Step>) = self.plan.first.iter().partition(is_check);
        let checked = parallel::each(&checks, |step| self.alone(step, &mut []));
        checked.into_iter().collect::<Result<()>>()?;
        others.into_iter().try_for_each(|step| self.alone(step, &mut []))?;
        let services = &self.plan.services;
        let mut results = parallel::at_once(services, jobs, |service| self.service(service));
        let done = if results.iter().all(Published::is_there) {
            self.finally(&mut results)
        } else {
            Ok(())
        };
        Ok((results, done))
    }

    /// The steps after all images are published. A service that fails moves no more tags, but what it has
    /// moved is still checked again; the others go on.
    fn finally(&'a self, results: &mut [Published]) -> Result<()> {
        for step in &self.plan.finally {
            let Some(repository) = step.repository() else {
                if exit(results) == Exit::Done {
                    self.alone(step, results)?;
                }
                continue;
            };
            let of = |result: &&mut Published| result.is_in(repository);
            let failed = results.iter_mut().find(of).is_some_and(|result| !result.is_there());
            if failed && !matches!(step, Step::Recheck { .. }) {
                continue;
            }
            if let Err(error) = self.alone(step, results)
                && let Some(result) = results.iter_mut().find(of)
                && !failed
            {
                self.fail(result, &error);
            }
        }
        Ok(())
    }

    /// Executes a step that belongs to no list of a service.
    fn alone(&'a self, step: &Step, results: &mut [Published]) -> Result<()> {
        std::thread::scope(|scope| {
            self.execute(scope, step, &mut State::new(results, None)).map(drop)
        })
    }

    /// Publishes one service. An error ends its steps; what was done until then is reported.
    fn service(&'a self, service: &'a ServicePublication) -> Published {
        let begun = Instant::now();
        let mut published = planned(service);
        published.size_before = self.size_before(service);
        if let Err(error) = self.run(service, &mut published) {
            self.fail(&mut published, &error);
        }
        if matches!(service.action, Action::Promote { .. }) {
            // Its manifests were read before, so this sends no request.
            let image = published.digest.clone().map(|digest| service.repository.at(digest));
            let size = image.map(|image| published::size(self.writer.client, &image));
            published.size = size.and_then(std::result::Result::ok);
        }
        published.seconds = begun.elapsed().as_secs_f64();
        published
    }

    fn run(&'a self, service: &'a ServicePublication, published: &mut Published) -> Result<()> {
        let (done, run) = std::thread::scope(|scope| {
            let results = std::slice::from_mut(&mut *published);
            let mut state = State::new(results, Some(service));
            let done = self.in_order(scope, service, &mut state);
            let exported = state.export.map(ScopedJoinHandle::join);
            (done, exported.and_then(std::result::Result::ok).or(state.run))
        });
        let Some(run) = run else { return done };
        let (record, built) = self.builds.finish(run);
        published.record = Some(record);
        done.and(built)
    }

    fn in_order<'s>(
        &'a self,
        scope: &'s Scope<'s, '_>,
        service: &ServicePublication,
        state: &mut State<'s, 'a, '_>,
    ) -> Result<()>
    where
        'a: 's,
    {
        let mut steps = VecDeque::from(service.steps.clone());
        while let Some(step) = steps.pop_front() {
            match self.execute(scope, &step, state)? {
                Next::Continue => interrupt::check()?,
                Next::Replace(others) => steps = others.into(),
                Next::Stop => break,
            }
        }
        Ok(())
    }

    /// The size of the image that a floating tag points to now, to compare a new image with.
    fn size_before(&self, service: &ServicePublication) -> Option<u64> {
        if !matches!(service.action, Action::Build { .. }) {
            return None;
        }
        let images = &self.facts.published.get(&service.service)?.images;
        let image = service.tags.floating.iter().find_map(|tag| images.get(tag))?;
        published::size(self.writer.client, &service.repository.at(image.digest.clone())).ok()
    }

    /// Records and shows an error of one service.
    fn fail(&self, published: &mut Published, error: &anyhow::Error) {
        let (exit, text) = report::error::rendered(error);
        self.builds.display.error(&format!("{}: {text}", published.service));
        published.result = match exit {
            Exit::Refused => PublishResult::Refused,
            Exit::Unfinished => PublishResult::Unfinished,
            _ => PublishResult::Failed,
        };
        published.error = Some(format!("{error:#}"));
    }
}

/// The outcome of a service before its first step.
fn planned(service: &ServicePublication) -> Published {
    let changes = match &service.action {
        Action::Build { changes, .. } => changes.clone(),
        _ => Vec::new(),
    };
    Published {
        service: service.service.clone(),
        repository: service.repository.clone(),
        result: result_of(&service.action),
        reason: service.action.reason().to_owned(),
        changes,
        digest: None,
        tags: Vec::new(),
        size: None,
        size_before: None,
        seconds: 0.0,
        error: None,
        record: None,
    }
}
