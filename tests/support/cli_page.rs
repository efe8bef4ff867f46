//! `docs/reference/cli.md`, made from the arguments that the program reads.

use clap::{Arg, ArgAction, Command};

/// The whole page.
pub(crate) fn page(mut program: Command) -> String {
    program.build();
    let mut page = String::from(
        "# The command line\n\nMade from the program's own help. What each exit code means and what to do about it: \
         [operating a pair](../guide/operate.md).\n",
    );
    add(&program, &mut page);
    page
}

/// A command and those below it.
fn add(command: &Command, page: &mut String) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let about = command.get_long_about().or_else(|| command.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim().replace("\n       ", "\n");
    page.push_str(&format!("\n## `{name}`\n\n{}\n\n```text\n{usage}\n```\n", sentence(&about)));
    let is_program = !name.contains(' ');
    let arguments: Vec<&Arg> = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set() && (is_program || !argument.is_global_set()))
        .filter(|argument| !is_everywhere(argument))
        .collect();
    if !arguments.is_empty() {
        page.push('\n');
    }
    for argument in arguments {
        page.push_str(&entry(argument));
    }
    let after = command.get_after_long_help().or_else(|| command.get_after_help());
    if let Some(after) = after {
        page.push_str(&format!("\n{}\n", sentence(&after.to_string())));
    }
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        add(below, page);
    }
}

/// Whether an argument is one that every command has.
fn is_everywhere(argument: &Arg) -> bool {
    matches!(
        argument.get_action(),
        ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
    )
}

/// One argument as an entry of a list.
fn entry(argument: &Arg) -> String {
    let help = argument.get_long_help().or_else(|| argument.get_help());
    let help = help.map(ToString::to_string).unwrap_or_default();
    let mut entry = format!("- `{argument}`: {}", sentence(&help).replace("\n\n", " "));
    if let Some(short) = argument.get_short()
        && argument.get_long().is_some()
    {
        entry.push_str(&format!(" Short: `-{short}`."));
    }
    let values = argument.get_possible_values();
    let takes = argument.get_action().takes_values();
    if takes && !values.is_empty() && !argument.is_hide_possible_values_set() {
        let words: Vec<String> = values
            .iter()
            .filter(|value| !value.is_hide_set())
            .map(|value| format!("`{}`", value.get_name()))
            .collect();
        entry.push_str(&format!(" One of {}.", words.join(", ")));
    }
    let defaults: Vec<String> = argument
        .get_default_values()
        .iter()
        .map(|value| format!("`{}`", value.to_string_lossy()))
        .collect();
    if takes && !defaults.is_empty() && !argument.is_hide_default_value_set() {
        entry.push_str(&format!(" Default: {}.", defaults.join(", ")));
    }
    if let Some(variable) = argument.get_env() {
        entry.push_str(&format!(" Also from `{}`.", variable.to_string_lossy()));
    }
    entry.push('\n');
    entry
}

/// A help text with the full stop that the program's own help leaves off.
fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() || text.ends_with(['.', ':', '?']) {
        text.to_owned()
    } else {
        format!("{text}.")
    }
}
