//! From words to a command: names the program is called by, the user's aliases, and refusals in the words of LXD's client.

use crate::commands::Command;
use crate::context::{Context, Globals};
use crate::output::Printer;
use crate::settings::Settings;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};
use std::path::Path;

/// Containers and virtual machines: the command line client
#[derive(Debug, Parser)]
#[command(
    name = "hull",
    version,
    args_override_self = true,
    disable_help_subcommand = false,
    infer_subcommands = false,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
struct Arguments {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

/// The command and what it needs, or the exit status when the words were refused or asked for help.
pub(crate) fn read() -> Result<(Command, Context), u8> {
    let settings = Settings::load().map_err(|error| {
        eprintln!("Error: {error:#}");
        1
    })?;
    let words: Result<Vec<String>, _> = std::env::args_os().map(std::ffi::OsString::into_string).collect();
    let words = words.map_err(|word| {
        eprintln!("Error: the argument `{}` is not UTF-8", word.to_string_lossy());
        1
    })?;
    let words = expanded(called_as(words), &settings);
    match Arguments::try_parse_from(&words) {
        Ok(arguments) => {
            let printer = Printer::new(arguments.globals.quiet);
            Ok((arguments.command, Context { printer, settings, globals: arguments.globals }))
        }
        Err(error) => Err(refuse(&error, &words)),
    }
}

/// The tree of commands, for completions.
pub(crate) fn tree() -> clap::Command {
    Arguments::command()
}

/// `lxd …` is `hull admin …`; every other name is the client.
fn called_as(mut words: Vec<String>) -> Vec<String> {
    let name = words.first().map(|word| Path::new(word).file_name().unwrap_or_default().to_string_lossy().into_owned());
    if name.as_deref() == Some("lxd") {
        words.insert(1, "admin".to_owned());
    }
    words
}

/// What LXD's client knows beside the user's own aliases.
const SHELL: &str = "exec @ARGS@ -- su -l";

/// Replaces the first words by the alias that matches most of them. `@ARGS@` marks where the rest goes, at the end otherwise.
fn expanded(words: Vec<String>, settings: &Settings) -> Vec<String> {
    let Some(start) = words.iter().skip(1).position(|word| !word.starts_with('-')).map(|index| index + 1) else {
        return words;
    };
    let matching = settings.aliases.iter().filter_map(|(alias, target)| {
        let parts: Vec<&str> = alias.split_whitespace().collect();
        let matches = words[start..].iter().map(String::as_str).take(parts.len()).eq(parts.iter().copied());
        (matches && !parts.is_empty()).then_some((parts.len(), target))
    });
    let built_in = (words[start] == "shell").then_some((1, SHELL));
    let own = matching.max_by_key(|(length, _)| *length).map(|(length, target)| (length, target.as_str()));
    let Some((length, target)) = own.or(built_in) else { return words };
    let rest = &words[start + length..];
    let mut result = words[..start].to_vec();
    let mut placed = false;
    for word in target.split_whitespace() {
        if word == "@ARGS@" {
            placed = true;
            result.extend_from_slice(rest);
        } else {
            result.push(word.to_owned());
        }
    }
    if !placed {
        result.extend_from_slice(rest);
    }
    result
}

fn refuse(error: &clap::Error, words: &[String]) -> u8 {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            print_clap(error);
            return 0;
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            print_clap(error);
            return 0;
        }
        _ => {}
    }
    let (path, command, given) = named(words);
    if error.kind() == ErrorKind::MissingRequiredArgument && !given {
        // A command alone is a question how it is called.
        let _ = command.bin_name(path).print_long_help();
        return 0;
    }
    eprintln!(
        "Error: {}",
        said(error, &path).unwrap_or_else(|| error.to_string().trim_start_matches("error: ").trim_end().to_owned())
    );
    1
}

/// The command that `words` name, its full name, and whether anything but flags follows.
fn named(words: &[String]) -> (String, clap::Command, bool) {
    let (mut path, mut command) = ("hull".to_owned(), tree());
    let mut rest = words.iter().skip(1).filter(|word| !word.starts_with('-')).peekable();
    while let Some(found) = rest.peek().and_then(|word| command.find_subcommand(word.as_str())).cloned() {
        path = format!("{path} {}", found.get_name());
        command = found;
        rest.next();
    }
    let given = rest.peek().is_some();
    (path, command, given)
}

fn print_clap(error: &clap::Error) {
    // A closed pipe is the only way this fails, and then nobody reads.
    let _ = error.print();
}

/// Words of LXD's client for what Hull does not have: whoever uses one has not mistyped.
const NOT_YET: &[(&str, &str)] = &[
    ("cluster", "clusters are"),
    ("config template", "templates of instances are"),
    ("config trust edit", "access over the network is"),
    ("config trust list-tokens", "access over the network is"),
    ("config trust revoke-token", "access over the network is"),
    ("export", "backups are"),
    ("file mount", "mounting an instance's files is"),
    ("import", "backups are"),
    ("network acl", "access lists are"),
    ("network forward", "forwards are"),
    ("network load-balancer", "load balancers are"),
    ("network peer", "peerings are"),
    ("network zone", "DNS zones are"),
    ("publish", "images of instances are"),
    ("storage bucket", "buckets are"),
    ("storage volume attach", "attaching volumes is"),
    ("storage volume attach-profile", "attaching volumes is"),
    ("storage volume copy", "copying volumes is"),
    ("storage volume detach", "attaching volumes is"),
    ("storage volume detach-profile", "attaching volumes is"),
    ("storage volume export", "backups are"),
    ("storage volume import", "backups are"),
    ("storage volume info", "the usage of single volumes is"),
    ("storage volume move", "moving volumes between pools is"),
    ("storage volume restore", "snapshots are"),
    ("storage volume snapshot", "snapshots are"),
];

/// The refusal in the words of LXD's client.
fn said(error: &clap::Error, path: &str) -> Option<String> {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = context(ContextKind::InvalidSubcommand)?;
            let full = format!("{path} {word}");
            let known = NOT_YET.iter().find(|(name, _)| full.strip_prefix("hull ") == Some(*name));
            Some(match known {
                Some((_, what)) => format!("`{full}` cannot be used: {what} not supported yet"),
                None => format!("unknown command \"{word}\" for \"{path}\""),
            })
        }
        ErrorKind::UnknownArgument => {
            let word = context(ContextKind::InvalidArg)?;
            Some(match word.strip_prefix('-') {
                Some(rest) if rest.starts_with('-') => format!("unknown flag: {word}"),
                Some(rest) => format!("unknown shorthand flag: '{}' in {word}", rest.chars().next()?),
                None => "Invalid number of arguments".to_owned(),
            })
        }
        ErrorKind::MissingRequiredArgument
        | ErrorKind::TooManyValues
        | ErrorKind::TooFewValues
        | ErrorKind::WrongNumberOfValues => Some("Invalid number of arguments".to_owned()),
        ErrorKind::ValueValidation => std::error::Error::source(error).map(ToString::to_string),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn refusal(text: &str) -> String {
        let words = words(text);
        said(&Arguments::try_parse_from(&words).unwrap_err(), &named(&words).0).unwrap()
    }

    #[test]
    fn the_tree_is_consistent() {
        tree().debug_assert();
    }

    #[test]
    fn called_as_lxd_it_administers() {
        assert_eq!(called_as(words("/usr/bin/lxd init --auto")), words("/usr/bin/lxd admin init --auto"));
        assert_eq!(called_as(words("lxc list")), words("lxc list"));
    }

    #[test]
    fn aliases_take_their_arguments_with_them() {
        let mut settings = Settings::default();
        settings.aliases.insert("ll".into(), "list -c n".into());
        assert_eq!(expanded(words("hull shell c1"), &settings), words("hull exec c1 -- su -l"));
        assert_eq!(expanded(words("hull -q ll c1"), &settings), words("hull -q list -c n c1"));
        assert_eq!(expanded(words("hull list"), &settings), words("hull list"));
    }

    #[test]
    fn refusals_are_in_lxcs_words() {
        assert_eq!(refusal("hull exec c1 ls -l"), "unknown shorthand flag: 'l' in -l");
        assert_eq!(refusal("hull list --foo"), "unknown flag: --foo");
        assert_eq!(refusal("hull nonsense"), "unknown command \"nonsense\" for \"hull\"");
        assert_eq!(refusal("hull config nonsense"), "unknown command \"nonsense\" for \"hull config\"");
        assert_eq!(
            refusal("hull storage volume copy a b"),
            "`hull storage volume copy` cannot be used: copying volumes is not supported yet"
        );
        assert_eq!(refusal("hull rename a"), "Invalid number of arguments");
        assert_eq!(refusal("hull list -f foo"), "Invalid format \"foo\"");
    }

    #[test]
    fn what_is_not_supported_yet_is_no_command() {
        for (name, _) in NOT_YET {
            let (path, _, given) = named(&words(&format!("hull {name}")));
            assert!(given && format!("{path} ").len() < format!("hull {name} ").len(), "`{name}` is a command");
        }
    }

    #[test]
    fn flags_may_stand_anywhere_before_the_dashes() {
        for line in [
            "hull exec c1 --env A=b env",
            "hull exec -t c1 /bin/bash",
            "hull exec c1 -- ls -l",
            "hull stop c1 --force c2 --timeout -1",
        ] {
            assert!(Arguments::try_parse_from(words(line)).is_ok(), "{line}");
        }
    }
}
