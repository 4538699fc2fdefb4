// SPDX-License-Identifier: Apache-2.0

internal import CFuse3
internal import Glibc
internal import Synchronization

/// State that the operations of one session share; the last to let go of it destroys the session of libfuse.
///
/// Every unanswered reply holds on to it, so that none can outlive what it answers to.
@safe
final class Connection: @unchecked Sendable {
    // SAFETY: `session` is set once, before any worker starts; libfuse's session may be used from several threads.

    let fileSystem: any FileSystem
    let maximumReadByteCount: Int
    let handles = HandleTable()
    let parked = PendingReplies()
    /// Look at FUSE_INIT; nil where nobody wants one.
    let negotiator: Negotiator?
    private(set) var session: OpaquePointer?
    private let workerKey: pthread_key_t
    private let hasSuccessor = Atomic<Bool>(false)
    private let unwantedReplies = Atomic<Int>(0)
    private let failedReplies = Atomic<Int>(0)

    init?(
        _ fileSystem: any FileSystem,
        maximumReadByteCount: Int,
        requestTimeout: UInt16?,
        _ succession: Succession
    ) {
        negotiator = Negotiator(succession, timeout: requestTimeout)
        var key = pthread_key_t()
        guard unsafe pthread_key_create(&key, nil) == 0 else { return nil }
        workerKey = key
        self.fileSystem = fileSystem
        self.maximumReadByteCount = maximumReadByteCount
        var operations = OperationTable.make()
        // SAFETY: libfuse copies the table and the words; `self` outlives the session, which `deinit` destroys.
        let words = ["credfs", "-omax_read=\(maximumReadByteCount)"]
        let texts = unsafe words.map { word in unsafe strdup(word) }
        defer { for index in unsafe texts.indices { unsafe free(texts[index]) } }
        var pointers = unsafe texts + [nil]
        unsafe pointers.withUnsafeMutableBufferPointer { pointers in
            var arguments = unsafe fuse_args(argc: 2, argv: pointers.baseAddress, allocated: 0)
            unsafe session = fuse_session_new(
                &arguments,
                &operations,
                MemoryLayout<fuse_lowlevel_ops>.size,
                Unmanaged.passUnretained(self).toOpaque()
            )
            // Parsing may have replaced the vector by one of its own.
            unsafe fuse_opt_free_args(&arguments)
        }
        guard unsafe session != nil else { return nil }
    }

    /// Gives libfuse an open device that is mounted, which it closes with the session.
    ///
    /// - Returns: false where it does not take it; then the device is not closed.
    func attach(_ device: Int32) -> Bool {
        guard let session = unsafe session else { return false }
        guard negotiator != nil else { return unsafe fuse_session_mount(session, "/dev/fd/\(device)") == 0 }
        var transport = Negotiator.transport
        return unsafe fuse_session_custom_io(session, &transport, device) == 0
    }

    deinit {
        if let session = unsafe session { unsafe fuse_session_destroy(session) }
        pthread_key_delete(workerKey)
    }

    static func from(_ data: UnsafeMutableRawPointer?) -> Connection? {
        guard let data = unsafe data else { return nil }
        return unsafe Unmanaged<Connection>.fromOpaque(data).takeUnretainedValue()
    }

    /// The worker that runs on the calling thread, if one does.
    ///
    /// Stored plus one, since 0 is what other threads find.
    var worker: WorkerNumber? {
        let value = unsafe Int(bitPattern: pthread_getspecific(workerKey))
        return value == 0 ? nil : WorkerNumber(value - 1)
    }

    func becomeWorker(_ number: WorkerNumber) {
        unsafe pthread_setspecific(workerKey, UnsafeRawPointer(bitPattern: number.value + 1))
    }

    func context(of request: OpaquePointer) -> RequestContext {
        guard let context = unsafe fuse_req_ctx(request), let worker else {
            return RequestContext(caller: Caller(user: .max, group: .max, thread: 0), worker: WorkerNumber(0))
        }
        let caller = unsafe Caller(user: context.pointee.uid, group: context.pointee.gid, thread: context.pointee.pid)
        return RequestContext(caller: caller, worker: worker)
    }

    /// Looks at what became of an answer: ENOENT says that nobody waits any more, which is no failure.
    func note(_ result: Int32) {
        switch result {
        case 0: break
        case -ENOENT: unwantedReplies.add(1, ordering: .relaxed)
        default: failedReplies.add(1, ordering: .relaxed)
        }
    }

    /// Leaves what is not answered to the next server from now on.
    func leave() { hasSuccessor.store(true, ordering: .releasing) }

    /// Ends a request that nobody will answer: with EIO, or with no answer where another server comes.
    func abandon(_ request: OpaquePointer) {
        guard !hasSuccessor.load(ordering: .acquiring) else { return unsafe fuse_reply_none(request) }
        note(unsafe fuse_reply_err(request, EIO))
    }

    /// The open file with a number, also one that the server before has opened.
    func file(_ number: UInt64, worker: WorkerNumber) -> (any OpenFile)? {
        guard case .file(let file) = content(number, worker) else { return nil }
        return file
    }

    /// The open directory with a number, also one that the server before has opened.
    func directory(_ number: UInt64, worker: WorkerNumber) -> (any OpenDirectory)? {
        guard case .directory(let directory) = content(number, worker) else { return nil }
        return directory
    }

    private func content(_ number: UInt64, _ worker: WorkerNumber) -> HandleTable.Content? {
        if let content = handles.content(number) { return content }
        guard LastingHandle.isOne(number) else { return nil }
        let content: HandleTable.Content
        switch fileSystem.reopen(LastingHandle(value: number), worker: worker) {
        case .file(let file): content = .file(file)
        case .directory(let directory): content = .directory(directory)
        case nil: return nil
        }
        return handles.adopt(content, as: number)
    }

    var counts: (unwanted: Int, failed: Int) {
        (unwantedReplies.load(ordering: .relaxed), failedReplies.load(ordering: .relaxed))
    }
}

/// Table of open handles, under the numbers that the kernel knows them by.
///
/// A number is the address of an object that the table keeps alive until it is removed, so that reads need no lock; or a
/// lasting one, which is looked for under the lock.
final class HandleTable: Sendable {
    enum Content: Sendable {
        case file(any OpenFile)
        case directory(any OpenDirectory)
    }

    private final class Handle: Sendable {
        let content: Content

        init(_ content: Content) {
            self.content = content
        }
    }

    private let handles = Mutex<[UInt64: Handle]>([:])

    /// Adds what was opened; `lasting` gives another number each time, or none.
    func insert(_ content: Content, lasting: () -> LastingHandle?) -> UInt64 {
        let handle = Handle(content)
        while let number = lasting()?.value {
            let isFree = handles.withLock { handles in
                guard handles[number] == nil else { return false }
                handles[number] = handle
                return true
            }
            if isFree { return number }
        }
        let number = unsafe UInt64(UInt(bitPattern: Unmanaged.passUnretained(handle).toOpaque()))
        handles.withLock { $0[number] = handle }
        return number
    }

    /// Adds what the server before has opened, unless another worker did so meanwhile.
    func adopt(_ content: Content, as number: UInt64) -> Content {
        let handle = Handle(content)
        return handles.withLock { handles in
            if let present = handles[number] { return present.content }
            handles[number] = handle
            return content
        }
    }

    func remove(_ number: UInt64) {
        // What ends with it ends outside the lock.
        let handle = handles.withLock { $0.removeValue(forKey: number) }
        _ = handle
    }

    func removeAll() {
        let all = handles.withLock { handles in
            let all = handles
            handles = [:]
            return all
        }
        _ = all
    }

    var count: Int { handles.withLock { $0.count } }

    // SAFETY: the kernel sends nothing for a handle once it has sent the release that removes it. Where a session has lasting
    // numbers it has no others, so that none of another server is taken for an address.
    func content(_ number: UInt64) -> Content? {
        guard !LastingHandle.isOne(number) else { return handles.withLock { $0[number]?.content } }
        guard let pointer = unsafe UnsafeRawPointer(bitPattern: UInt(number)) else { return nil }
        return unsafe Unmanaged<Handle>.fromOpaque(pointer).takeUnretainedValue().content
    }
}
