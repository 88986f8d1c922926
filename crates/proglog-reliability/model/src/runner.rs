//! Runs a scenario under a scheduler, and counts.

use std::any::Any;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use proglog_log::install_runtime;
use shuttle::scheduler::{
    PctScheduler, RandomScheduler, ReplayScheduler, Schedule, Scheduler, Task, TaskId,
};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

use crate::scenarios::Scenario;
use crate::tasks::Tasks;

/// More steps than any execution takes that ends.
const STEPS_MAX: usize = 100_000;

/// The number of steps of an execution at which the scheduler by priorities changes one, besides the first.
const CHANGES: usize = 3;

/// The stack of a thread.
const STACK_BYTES: usize = 256 << 10;

/// The executions to run.
pub(crate) struct Order {
    scheduler: Box<dyn Scheduler + Send>,
    /// The folder for the schedule of a failed execution.
    folder: Option<PathBuf>,
}

impl Order {
    pub(crate) fn replay(file: &str) -> Self {
        let scheduler = ReplayScheduler::new_from_file(file).expect("a schedule can be read");
        Self {
            scheduler: Box::new(scheduler),
            folder: None,
        }
    }

    pub(crate) fn search(
        scheduler: &str,
        seed: &str,
        executions: &str,
        folder: &str,
    ) -> Option<Self> {
        let (seed, executions) = (seed.parse().ok()?, executions.parse().ok()?);
        let scheduler: Box<dyn Scheduler + Send> = match scheduler {
            // Each step is that of any thread.
            "random" => Box::new(RandomScheduler::new_from_seed(seed, executions)),
            // The thread of the highest priority runs; priorities change at a few steps.
            "pct" => Box::new(PctScheduler::new_from_seed(seed, CHANGES + 1, executions)),
            _ => return None,
        };
        Some(Self {
            scheduler,
            folder: Some(folder.into()),
        })
    }
}

#[derive(Debug, Default)]
struct Counts {
    executions: u64,
    /// Hashes of the schedules, of which one is still growing.
    schedules: HashSet<u64>,
    current: DefaultHasher,
}

/// Notes which schedules another scheduler makes.
struct Counting {
    inner: Box<dyn Scheduler + Send>,
    counts: Arc<Mutex<Counts>>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Counts {
    fn end_execution(&mut self) {
        let schedule = std::mem::take(&mut self.current).finish();
        if self.executions > 0 {
            self.schedules.insert(schedule);
        }
    }
}

impl Scheduler for Counting {
    fn new_execution(&mut self) -> Option<Schedule> {
        let schedule = self.inner.new_execution();
        let mut counts = locked(&self.counts);
        counts.end_execution();
        counts.executions += u64::from(schedule.is_some());
        schedule
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        is_yielding: bool,
    ) -> Option<TaskId> {
        let next = self.inner.next_task(runnable, current, is_yielding);
        if runnable.len() > 1 {
            next.map(usize::from)
                .hash(&mut locked(&self.counts).current);
        }
        next
    }

    fn next_u64(&mut self) -> u64 {
        let number = self.inner.next_u64();
        number.hash(&mut locked(&self.counts).current);
        number
    }
}

pub(crate) fn run(scenario: Scenario, order: Order) -> ExitCode {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.max_steps = MaxSteps::FailAfter(STEPS_MAX);
    config.silence_warnings = true;
    config.failure_persistence = match &order.folder {
        Some(folder) => FailurePersistence::File(Some(folder.clone())),
        None => FailurePersistence::None,
    };
    install_runtime(Tasks).expect("nothing has run yet");
    let counts = Arc::new(Mutex::new(Counts::default()));
    let scheduler = Counting {
        inner: order.scheduler,
        counts: Arc::clone(&counts),
    };
    let ends = Arc::new(Mutex::new(HashSet::new()));
    let found = Arc::clone(&ends);
    let runner = Runner::new(scheduler, config);
    let ran = catch_unwind(AssertUnwindSafe(|| {
        runner.run(move || {
            let end = scenario();
            locked(&found).insert(end);
        })
    }));
    let mut counts = locked(&counts);
    if ran.is_err() {
        counts.end_execution();
    }
    println!(
        "{} {} {}",
        counts.executions,
        counts.schedules.len(),
        locked(&ends).len()
    );
    match ran {
        Ok(_) => ExitCode::SUCCESS,
        Err(panic) => {
            println!("{}", message(&*panic).replace('\n', " "));
            ExitCode::FAILURE
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a message")
}
