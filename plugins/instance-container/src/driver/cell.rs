//! Cells: ready pairs of user and network namespaces with a process waiting in them. Making a network namespace is most
//! of the cost of a start, so a few are kept in stock.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use hull_plugin::instance::{IdMap, IdRange};
use hull_plugin::{Code, DriverError};
use instance_container::order::{Order, Report};

use crate::helper::{Channel, Helper};
use crate::table::duplicate;

const STOCK: usize = 2;

/// Dropping it ends the process and with it the namespaces, unless something else holds them.
pub(crate) struct Cell {
    pub(crate) channel: Channel,
    pub(crate) user_namespace: OwnedFd,
    pub(crate) network_namespace: OwnedFd,
    idmap: IdMap,
}

pub(crate) struct Cells {
    helper: Rc<Helper>,
    stock: RefCell<VecDeque<Cell>>,
    /// What stocked cells are mapped with: what was asked for last.
    idmap: RefCell<IdMap>,
}

impl Cell {
    /// Copies of its channel and namespaces, for a successor. It lives as long as one of them.
    pub(crate) fn descriptors(&self) -> Result<[OwnedFd; 3], DriverError> {
        let Self { channel, user_namespace, network_namespace, idmap: _ } = self;
        Ok([channel.descriptor()?, duplicate(user_namespace)?, duplicate(network_namespace)?])
    }

    /// The cell of a predecessor.
    pub(crate) fn of(descriptors: [OwnedFd; 3], idmap: IdMap) -> Result<Self, DriverError> {
        let [channel, user_namespace, network_namespace] = descriptors;
        Ok(Self { channel: Channel::new(channel)?, user_namespace, network_namespace, idmap })
    }
}

impl Cells {
    pub(crate) fn new(helper: Rc<Helper>) -> Self {
        Self { helper, stock: RefCell::default(), idmap: RefCell::new(default_map()) }
    }

    pub(crate) fn default_map(&self) -> IdMap {
        default_map()
    }

    /// A cell with this map: from stock if there is one. The caller has the stock refilled afterwards.
    pub(crate) async fn take(&self, idmap: &IdMap) -> Result<Cell, DriverError> {
        self.idmap.replace(idmap.clone());
        loop {
            let Some(cell) = self.stock.borrow_mut().pop_front() else { break };
            if cell.idmap == *idmap {
                return Ok(cell);
            }
        }
        self.make(idmap.clone()).await
    }

    pub(crate) async fn refill(&self) {
        while self.stock.borrow().len() < STOCK {
            let idmap = self.idmap.borrow().clone();
            match self.make(idmap).await {
                Ok(cell) => self.stock.borrow_mut().push_back(cell),
                Err(error) => return tracing::warn!(%error, "cannot keep namespaces in stock"),
            }
        }
    }

    async fn make(&self, idmap: IdMap) -> Result<Cell, DriverError> {
        let channel = self.helper.order(&Order::Cell, Vec::new())?;
        let (report, descriptors) = channel.answer("make namespaces").await?;
        let (Report::Unshared { pid }, Ok([user_namespace, network_namespace])) =
            (report, <[OwnedFd; 2]>::try_from(descriptors))
        else {
            return Err(DriverError::new(Code::Internal, "hull-init answered out of turn"));
        };
        map(pid, "uid_map", &idmap.users)?;
        map(pid, "gid_map", &idmap.groups)?;
        Ok(Cell { channel, user_namespace, network_namespace, idmap })
    }
}

fn map(pid: i32, file: &str, ranges: &[IdRange]) -> Result<(), DriverError> {
    let lines: String =
        ranges.iter().map(|range| format!("{} {} {}\n", range.inside, range.outside, range.count)).collect();
    std::fs::write(format!("/proc/{pid}/{file}"), &lines).map_err(|error| {
        DriverError::system(&error, format!("cannot write the id map `{}`", lines.trim_end().replace('\n', ", ")))
            .hint("the map must lie within the ids that Hull has for containers")
    })
}

/// All ids the driver's own namespace has for containers: the first range after the driver's own id.
fn default_map() -> IdMap {
    let first = |file: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.lines().filter_map(line).find(|range| range.inside != 0).map(|range| IdRange { inside: 0, ..range })
    };
    IdMap {
        users: first("/proc/self/uid_map").into_iter().collect(),
        groups: first("/proc/self/gid_map").into_iter().collect(),
    }
}

/// A line of a map file. Ids are passed on as this namespace sees them.
fn line(text: &str) -> Option<IdRange> {
    let mut numbers = text.split_whitespace().map(str::parse::<u32>);
    let inside = numbers.next()?.ok()?;
    let count = numbers.nth(1)?.ok()?;
    Some(IdRange { inside, outside: inside, count })
}
