//! The system calls a container may not make, compiled here so that the helper needs no library for it.

use std::io::{Read, Seek, SeekFrom};

use hull_plugin::{Code, ConfigMap, DriverError};
use libseccomp::{ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::config::is_true;

/// Denied unless `security.syscalls.deny_default` is false: what reaches past namespaces or loads kernel code.
const DENIED: [&str; 6] =
    ["kexec_load", "kexec_file_load", "open_by_handle_at", "init_module", "finit_module", "delete_module"];
const MNT_FORCE: u64 = 1; // linux/fs.h
const ALLOW: &str = "security.syscalls.allow";
const DENY: &str = "security.syscalls.deny";
const DENY_COMPAT: &str = "security.syscalls.deny_compat";
const DENY_DEFAULT: &str = "security.syscalls.deny_default";

/// A compiled program; empty: nothing is denied.
///
/// # Errors
/// `InvalidConfig`: a list that cannot be read, with its key.
pub(crate) fn filter(config: &ConfigMap) -> Result<Vec<u8>, DriverError> {
    let text = |key| config.get(key).map_or("", |text| text.as_str());
    let allowed = parse(ALLOW, text(ALLOW))?;
    let denied = parse(DENY, text(DENY))?;
    let deny_default = config.get(DENY_DEFAULT).is_none_or(|_| is_true(config, DENY_DEFAULT));
    let compile = || -> Result<Vec<u8>, Box<dyn std::error::Error>> {
        let mut filter = new(if allowed.is_empty() { ScmpAction::Allow } else { ScmpAction::KillProcess }, config)?;
        for rule in &allowed {
            filter.add_rule(ScmpAction::Allow, rule.call)?;
        }
        if allowed.is_empty() && deny_default {
            deny_by_default(&mut filter)?;
        }
        for rule in denied.iter().filter(|_| allowed.is_empty()) {
            filter.add_rule(rule.action, rule.call)?;
        }
        export(&filter)
    };
    compile().map_err(|error| DriverError::new(Code::Internal, "cannot compile the system call filter").because(error))
}

fn new(default: ScmpAction, config: &ConfigMap) -> Result<ScmpFilterContext, Box<dyn std::error::Error>> {
    let mut filter = ScmpFilterContext::new(default)?;
    filter.set_ctl_nnp(false)?; // set-user-id programs work inside
    let compat: &[ScmpArch] = match ScmpArch::native() {
        ScmpArch::X8664 => &[ScmpArch::X86, ScmpArch::X32],
        ScmpArch::Aarch64 => &[ScmpArch::Arm],
        _ => &[],
    };
    if is_true(config, DENY_COMPAT) {
        filter.set_act_badarch(ScmpAction::Errno(libc::ENOSYS))?;
    } else {
        for &arch in compat {
            filter.add_arch(arch)?;
        }
    }
    Ok(filter)
}

fn deny_by_default(filter: &mut ScmpFilterContext) -> Result<(), Box<dyn std::error::Error>> {
    for name in DENIED {
        filter.add_rule(ScmpAction::Errno(libc::ENOSYS), ScmpSyscall::from_name(name)?)?;
    }
    // Forced unmounts hurt other users of a network file system.
    let force = ScmpArgCompare::new(1, ScmpCompareOp::MaskedEqual(MNT_FORCE), MNT_FORCE);
    filter.add_rule_conditional(ScmpAction::Errno(libc::EACCES), ScmpSyscall::from_name("umount2")?, &[force])?;
    Ok(())
}

struct Rule {
    call: ScmpSyscall,
    action: ScmpAction,
}

/// LXC's list format, as far as it names calls: `NAME` or `NAME errno N` a line, `[all]` and comments between them.
fn parse(key: &str, text: &str) -> Result<Vec<Rule>, DriverError> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or("").trim());
    lines.filter(|line| !line.is_empty() && *line != "[all]").map(|line| rule(key, line)).collect()
}

fn rule(key: &str, line: &str) -> Result<Rule, DriverError> {
    let bad = |why: &str| {
        DriverError::invalid(key, format!("`{line}`: {why}")).hint("write `NAME` or `NAME errno NUMBER`, one a line")
    };
    let words: Vec<&str> = line.split_whitespace().collect();
    let action = match words[..] {
        [_] => ScmpAction::Errno(libc::ENOSYS),
        [_, "errno", number] => ScmpAction::Errno(number.parse().map_err(|_| bad("no error number"))?),
        [_, "kill"] => ScmpAction::KillProcess,
        _ => return Err(bad("this form is not supported")),
    };
    let call = ScmpSyscall::from_name(words[0]).map_err(|_| bad("no such system call"))?;
    Ok(Rule { call, action })
}

fn export(filter: &ScmpFilterContext) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let mut file = std::fs::File::from(memfd_create("filter", MFdFlags::MFD_CLOEXEC)?);
    filter.export_bpf(&file)?;
    file.seek(SeekFrom::Start(0))?;
    let mut program = Vec::new();
    file.read_to_end(&mut program)?;
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_refused() {
        let with = |key: &str, text: &str| filter(&ConfigMap::from([(key.to_owned(), text.to_owned())]));
        assert!(filter(&ConfigMap::new()).unwrap().len() > 80);
        assert!(with(DENY, "# none\n[all]\nptrace errno 1\nkeyctl\n").is_ok());
        for bad in ["nosuchcall", "ptrace errno x", "ptrace [0,1,SCMP_CMP_EQ]"] {
            assert_eq!(with(DENY, bad).unwrap_err().key.as_deref(), Some(DENY), "{bad}");
        }
    }
}
