//! The driver as Hull sees it: the contract's methods, each done in the file named after it.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use hull_plugin::instance::{
    ExecSpec, ExecStreams, Executed, FileFound, FilesAt, InstanceDriver, InstanceSpec, InstanceState, MountSpec,
    NewFile, Preparation, Prepared, Started, StopSignal, TerminalSize,
};
use hull_plugin::{
    Charge, Context, Description, Driver, DriverError, FileFd, HostHandle, InstanceId, MemoryFd, MountFd, OperationId,
    Recovered, StoredHandle, StreamFd,
};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::cell::Cells;
use crate::describe::description;
use crate::helper::{Helper, Source};
use crate::table::Table;

#[derive(Clone)]
pub(crate) struct Container(Rc<Shared>);

struct Shared {
    host: HostHandle,
    helper: Rc<Helper>,
    cells: Rc<Cells>,
    table: Table,
    /// The user namespace for files of stopped containers, once one was needed.
    volumes: RefCell<Option<OwnedFd>>,
    refilling: RefCell<Option<JoinHandle<()>>>,
    /// Of the table.
    charge: Charge,
    /// Held while this process hands over or takes charge.
    handover: Arc<Mutex<()>>,
}

impl Container {
    pub(crate) fn new(host: HostHandle, helper: Source) -> Self {
        let helper = Rc::new(Helper::new(helper));
        let cells = Rc::new(Cells::new(Rc::clone(&helper)));
        let shared = Shared {
            host,
            helper,
            cells,
            table: Table::default(),
            volumes: RefCell::default(),
            refilling: RefCell::default(),
            charge: Charge::default(),
            handover: Arc::default(),
        };
        let driver = Self(Rc::new(shared));
        driver.refill_later();
        driver
    }

    pub(crate) fn host(&self) -> &HostHandle {
        &self.0.host
    }

    pub(crate) fn helper(&self) -> &Helper {
        &self.0.helper
    }

    pub(crate) fn cells(&self) -> &Cells {
        &self.0.cells
    }

    pub(crate) fn table(&self) -> &Table {
        &self.0.table
    }

    pub(crate) fn volumes(&self) -> &RefCell<Option<OwnedFd>> {
        &self.0.volumes
    }

    pub(crate) fn charge(&self) -> &Charge {
        &self.0.charge
    }

    pub(crate) fn handover(&self) -> &Arc<Mutex<()>> {
        &self.0.handover
    }

    /// Brings the stock of namespaces up again, beside other work.
    pub(crate) fn refill_later(&self) {
        let mut refilling = self.0.refilling.borrow_mut();
        if refilling.as_ref().is_none_or(JoinHandle::is_finished) {
            let cells = Rc::clone(&self.0.cells);
            *refilling = Some(tokio::task::spawn_local(async move { cells.refill().await }));
        }
    }
}

impl Driver for Container {
    fn describe(&self) -> Description {
        description()
    }

    async fn recover(&self, handles: Vec<StoredHandle>) -> Result<Vec<Recovered>, DriverError> {
        self.recover_all(handles).await
    }

    async fn hand_over(&self) -> Result<(), DriverError> {
        Container::hand_over(self).await
    }

    async fn take_charge(&self) -> Result<(), DriverError> {
        Container::take_charge(self).await
    }
}

impl InstanceDriver for Container {
    async fn prepare(self, _: Context, _: OperationId, preparation: Preparation) -> Result<Prepared, DriverError> {
        let _share = self.charge().share().await?;
        Container::prepare(&self, preparation).await
    }

    async fn attach_mount(
        self,
        _: Context,
        _: OperationId,
        instance: InstanceId,
        spec: MountSpec,
        mount: MountFd,
    ) -> Result<(), DriverError> {
        let _share = self.charge().share().await?;
        Container::attach_mount(&self, &instance, spec, mount).await
    }

    async fn detach_mount(
        self,
        _: Context,
        _: OperationId,
        instance: InstanceId,
        path: String,
    ) -> Result<(), DriverError> {
        let _share = self.charge().share().await?;
        Container::detach_mount(&self, &instance, path).await
    }

    async fn start(
        self,
        _: Context,
        _: OperationId,
        spec: InstanceSpec,
        root: MountFd,
    ) -> Result<Started, DriverError> {
        let _share = self.charge().share().await?;
        Container::start(&self, spec, root).await
    }

    async fn signal(
        self,
        _: Context,
        _: OperationId,
        instance: InstanceId,
        signal: StopSignal,
    ) -> Result<(), DriverError> {
        Container::signal(&self, &instance, signal)
    }

    async fn kill(self, _: Context, _: OperationId, instance: InstanceId) -> Result<(), DriverError> {
        Container::kill(&self, &instance).await
    }

    async fn cleanup(self, _: Context, _: OperationId, instance: InstanceId) -> Result<(), DriverError> {
        let _share = self.charge().share().await?;
        Container::cleanup(&self, &instance).await
    }

    async fn freeze(self, _: Context, _: OperationId, instance: InstanceId) -> Result<(), DriverError> {
        self.set_frozen(&instance, true).await
    }

    async fn thaw(self, _: Context, _: OperationId, instance: InstanceId) -> Result<(), DriverError> {
        self.set_frozen(&instance, false).await
    }

    async fn exec(
        self,
        _: Context,
        _: OperationId,
        spec: ExecSpec,
        streams: ExecStreams,
    ) -> Result<Executed, DriverError> {
        Container::exec(&self, spec, streams).await
    }

    async fn console(self, _: Context, instance: InstanceId) -> Result<StreamFd, DriverError> {
        let _share = self.charge().share().await?;
        self.table().running(&instance)?.console()?.connect().await
    }

    async fn console_log(self, _: Context, instance: InstanceId) -> Result<MemoryFd, DriverError> {
        self.table().ended_or_running(&instance)?.console()?.log()
    }

    async fn clear_console_log(self, _: Context, instance: InstanceId) -> Result<(), DriverError> {
        self.table().ended_or_running(&instance)?.console()?.clear()
    }

    async fn resize_console(self, _: Context, instance: InstanceId, size: TerminalSize) -> Result<(), DriverError> {
        self.table().running(&instance)?.console()?.resize(size)
    }

    async fn read_file(self, _: Context, at: FilesAt) -> Result<FileFound, DriverError> {
        Container::read_file(&self, at).await
    }

    async fn write_file(self, _: Context, at: FilesAt, file: NewFile) -> Result<Option<FileFd>, DriverError> {
        Container::write_file(&self, at, file).await
    }

    async fn delete_file(self, _: Context, at: FilesAt) -> Result<(), DriverError> {
        Container::delete_file(&self, at).await
    }

    async fn state(self, _: Context, instance: InstanceId) -> Result<InstanceState, DriverError> {
        Container::state(&self, &instance)
    }
}
