//! `hull`: the command line client. Called as `lxc` it is the same; called as `lxd` it is `hull admin`.
//!
//! Parsing does no work: [`arguments`] turns words into one of the [`commands`], which is run with a [`context::Context`].

mod arguments;
mod client;
mod commands;
mod context;
mod editor;
mod interrupt;
mod output;
mod settings;

fn main() {
    let status = match arguments::read() {
        Ok((command, context)) => run(command, &context),
        Err(status) => status,
    };
    // Not a return: a thread may sit in a read of stdin that nobody will answer.
    std::process::exit(i32::from(status))
}

fn run(command: commands::Command, context: &context::Context) -> u8 {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            context.printer.note(format!("Error: cannot start: {error}"));
            return 1;
        }
    };
    let result = runtime.block_on(command.run(context));
    // Not a drop, which would wait for a read of the terminal that nobody will answer.
    runtime.shutdown_background();
    match result {
        Ok(()) => 0,
        Err(error) => match error.downcast_ref::<commands::Exit>() {
            Some(exit) => {
                if let Some(message) = &exit.message {
                    context.printer.note(format!("Error: {message}"));
                }
                exit.status
            }
            None => {
                context.printer.note(format!("Error: {error:#}"));
                1
            }
        },
    }
}
