//! `quorate-bench`: measures servers of the etcd v3 API, ours and etcd itself, side by side.
//!
//! ```text
//! cli ─► suite (rows, targets) ─► runner (servers, rounds) ─► scenario ─┐
//!                                      │                               ▼
//!                                      └────────────► harness (threads, readings) ─► workload ─► driver ─► client
//! report ◄── figures ◄── stats, usage ◄────────────────────┘                               tickets ◄─┘
//! ```
//!
//! Four decisions make the figures worth something:
//!
//! - **The generator is not what is measured.** It speaks gRPC on raw `h2` from a current-thread runtime, with
//!   requests encoded by hand: twice to three times what a gRPC client library manages on a core (`quorate-bench echo`
//!   shows it). Each report says how busy it was.
//! - **Open loop means open loop.** With a rate, latency counts from when a request was due (see `tickets`).
//! - **CPU time first.** Server and load are pinned to different cores, and the server's CPU time for 100,000
//!   operations is read from the kernel: that holds on a noisy machine, wall clock does not. What the rest of the machine
//!   used meanwhile is in the report.
//! - **Side by side.** Both servers run in the same minutes on the same cores, in alternating rounds; what is compared are
//!   medians.
//!
//! It runs on Linux only: CPU time, memory and disk traffic come from `/proc`.

mod cli;
mod suite;

mod runner;
mod scenario;

mod harness;
mod workload;

mod driver;
mod tickets;

mod client;
mod endpoint;
mod grpc;
mod messages;
mod socket;
mod wire;

mod cores;
mod process;
mod secure;
mod usage;

mod figures;
mod report;
mod stats;

mod echo;
#[cfg(test)]
mod fake;

use anyhow::Context;
use clap::Parser;
use cli::{Cli, Task};
use cores::Placement;
use harness::{Plan, Site};
use report::Report;
use runner::Runner;
use std::process::ExitCode;
use suite::Stage;
use workload::put::{Order, Put};
use workload::{Shape, UnaryJob};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quorate-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let placement = cli.placement()?;
    match cli.task(&placement)? {
        Task::Echo { shape, plan } => echo(placement, shape, &plan),
        Task::Measure { source, stages } => measure(cli, Runner { source, placement }, &stages),
    }
}

/// Runs the stages, prints each row as it is complete, and the summary.
fn measure(cli: &Cli, runner: Runner, stages: &[Stage]) -> anyhow::Result<()> {
    let machine = machine(); // before pinning hides cores
    // Load threads pin themselves; this thread takes readings, and scenarios run on it.
    cores::pin_thread(&runner.placement.load).context("pinning the load")?;
    let mut report = Report {
        command: std::env::args().collect::<Vec<_>>().join(" "),
        machine,
        subjects: runner.subjects()?,
        rows: Vec::new(),
    };
    println!("{}", report.heading(&runner.placement));
    for stage in stages {
        let rows = runner.run(stage, &report.subjects)?;
        rows.iter().for_each(|row| println!("{}", row.table(&report.subjects)));
        report.rows.extend(rows);
        write_json(cli, &report)?; // after each stage: a suite takes long
    }
    println!("{}", report.summary());
    Ok(())
}

fn write_json(cli: &Cli, report: &Report) -> anyhow::Result<()> {
    let Some(path) = &cli.json else { return Ok(()) };
    let json = serde_json::to_vec_pretty(report)?;
    std::fs::write(path, json).with_context(|| format!("writing {}", path.display()))
}

/// Calls a server that does nothing, to see what the generator costs.
fn echo(placement: Placement, shape: Shape, plan: &Plan) -> anyhow::Result<()> {
    let address = echo::start(&placement.server)?;
    let site = Site { addresses: vec![address.into()], processes: Vec::new(), placement };
    let (load, spent) =
        harness::run(&site, plan, &UnaryJob { shape, workload: &Put { order: Order::Random } })?;
    let generator = load.generator_busy.as_secs_f64();
    println!("echo: {}", shape.describe());
    println!("  {:.0} calls/s in {:.1} s", load.per_second(), spent.wall.as_secs_f64());
    println!("  {:.2} us of the generator's CPU a call", generator * 1e6 / load.operations as f64);
    let capacity = load.operations as f64 / generator * plan.threads as f64;
    println!("  so it can make {capacity:.0} calls/s on {} core(s)", plan.threads);
    load.failures.lines().iter().for_each(|line| println!("  ! {line}"));
    Ok(())
}

/// The processor, its cores and the kernel, in one line.
fn machine() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.and_then(|rest| rest.split_once(": ")).map_or("unknown processor", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}
