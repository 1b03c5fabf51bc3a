//! The one door to everything around the sources: `cargo xtask TASK`, one file a task.
//!
//! Tasks start the built programs and talk to them as users do; none links anything of Hull.
#![allow(clippy::print_stdout)] // its output is for the person who started it

mod bench;
mod crashes;
mod demo;
mod docs;
mod faults;
mod fuzz;
mod install;
mod machine;
mod setup;
mod style;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "What is done with Hull's sources, beside writing them")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    Setup(setup::Setup),
    Demo(demo::Demo),
    Docs(docs::Docs),
    Fuzz(fuzz::Fuzz),
    Test(test::Test),
    Bench(bench::Bench),
    Crashes(crashes::Crashes),
    Faults(faults::Faults),
    Style(style::Style),
    Install(install::Install),
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Setup(task) => setup::run(&task),
        Task::Demo(task) => demo::run(&task),
        Task::Docs(task) => docs::run(&task),
        Task::Fuzz(task) => fuzz::run(&task),
        Task::Test(task) => test::run(&task),
        Task::Bench(task) => bench::run(&task),
        Task::Crashes(task) => crashes::run(&task),
        Task::Faults(task) => faults::run(&task),
        Task::Style(task) => style::run(&task),
        Task::Install(task) => install::run(&task),
    }
}
