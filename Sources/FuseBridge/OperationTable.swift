// SPDX-License-Identifier: Apache-2.0

internal import CFuse3
internal import Glibc
internal import SystemPackage

/// The operations that a mount of ours answers, in the order of libfuse's header; the kernel is told ENOSYS for others and
/// does not ask again.
enum OperationTable {
    // SAFETY: libfuse calls these with pointers that are valid for the call and with the user data of the session, which is
    // the connection that owns it. Nothing is kept but the request, by the one reply that is made for it.

    static func make() -> fuse_lowlevel_ops {
        var table = fuse_lowlevel_ops()
        unsafe table.`init` = { data, info in unsafe negotiate(Connection.from(data), info) }
        unsafe table.lookup = { request, parent, name in
            guard let request = unsafe Request(request) else { return }
            let name = unsafe bytes(of: name)
            let (parent, context) = (InodeNumber(parent), request.context)
            request.fileSystem.lookup(unsafe name.span, in: parent, context, reply: request.reply())
        }
        unsafe table.getattr = { request, inode, _ in
            guard let request = unsafe Request(request) else { return }
            request.fileSystem.getattr(InodeNumber(inode), reply: request.reply())
        }
        unsafe table.setattr = { request, _, _, _, _ in unsafe Request(request)?.refuse(EROFS) }
        unsafe table.mknod = { request, _, _, _, _ in unsafe Request(request)?.refuse(EROFS) }
        unsafe table.mkdir = { request, _, _, _ in unsafe Request(request)?.refuse(EROFS) }
        unsafe table.unlink = { request, _, _ in unsafe Request(request)?.refuse(EROFS) }
        unsafe table.rmdir = { request, _, _ in unsafe Request(request)?.refuse(EROFS) }
        unsafe table.symlink = { request, _, _, _ in unsafe Request(request)?.refuse(EROFS) }
        unsafe table.rename = { request, _, _, _, _, _ in unsafe Request(request)?.refuse(EROFS) }
        unsafe table.link = { request, _, _, _ in unsafe Request(request)?.refuse(EROFS) }
        unsafe table.open = { request, inode, info in
            guard let request = unsafe Request(request) else { return }
            let flags = unsafe flags(info)
            request.fileSystem.open(InodeNumber(inode), flags, request.context, reply: request.reply())
        }
        unsafe table.read = { request, _, size, offset, info in
            guard let request = unsafe Request(request) else { return }
            unsafe request.read(number(info), Int(offset), size)
        }
        unsafe table.release = { request, _, info in unsafe Request(request)?.close(number(info)) }
        unsafe table.opendir = { request, inode, _ in
            guard let request = unsafe Request(request) else { return }
            request.fileSystem.opendir(InodeNumber(inode), reply: request.reply())
        }
        unsafe table.readdir = { request, _, size, offset, info in
            guard let request = unsafe Request(request) else { return }
            unsafe request.readdir(number(info), Int(offset), size, withAttributes: false)
        }
        unsafe table.releasedir = { request, _, info in unsafe Request(request)?.close(number(info)) }
        unsafe table.statfs = { request, _ in
            guard let request = unsafe Request(request) else { return }
            request.fileSystem.statfs(reply: request.reply())
        }
        unsafe table.create = { request, _, _, _, _ in unsafe Request(request)?.refuse(EROFS) }
        unsafe table.ioctl = { request, _, _, _, _, _, _, _, _ in unsafe Request(request)?.refuse(ENOTTY) }
        unsafe table.readdirplus = { request, _, size, offset, info in
            guard let request = unsafe Request(request) else { return }
            unsafe request.readdir(number(info), Int(offset), size, withAttributes: true)
        }
        return table
    }
}

private func negotiate(_ connection: Connection?, _ info: UnsafeMutablePointer<fuse_conn_info>?) {
    guard let connection, let info = unsafe info else { return }
    // libfuse ends the session where this and the mount option differ.
    unsafe info.pointee.max_read = UInt32(connection.maximumReadByteCount)
    let wanted =
        UInt32(FUSE_CAP_ASYNC_READ) | UInt32(FUSE_CAP_PARALLEL_DIROPS) | UInt32(FUSE_CAP_READDIRPLUS)
        | UInt32(FUSE_CAP_READDIRPLUS_AUTO) | UInt32(FUSE_CAP_ATOMIC_O_TRUNC) | UInt32(FUSE_CAP_ASYNC_DIO)
    // No splicing: requests are read into memory, and replies come from pages that are wiped at once.
    unsafe info.pointee.want = info.pointee.capable & wanted
}

private func number(_ info: UnsafeMutablePointer<fuse_file_info>?) -> UInt64 {
    unsafe info?.pointee.fh ?? 0
}

private func flags(_ info: UnsafeMutablePointer<fuse_file_info>?) -> OpenFlags {
    let flags = unsafe info?.pointee.flags ?? O_WRONLY
    return OpenFlags(changesFile: flags & O_ACCMODE != O_RDONLY || flags & (O_TRUNC | O_APPEND) != 0)
}

private func bytes(of name: UnsafePointer<CChar>?) -> UnsafeBufferPointer<UInt8> {
    guard let name = unsafe name else { return unsafe UnsafeBufferPointer(start: nil, count: 0) }
    let raw = unsafe UnsafeRawBufferPointer(start: name, count: strlen(name))
    return unsafe raw.bindMemory(to: UInt8.self)
}

/// A request that has no reply yet.
@safe
private struct Request {
    private let pointer: OpaquePointer
    private let connection: Connection

    init?(_ pointer: OpaquePointer?) {
        guard let pointer = unsafe pointer,
            let connection = unsafe Connection.from(fuse_req_userdata(pointer))
        else { return nil }
        unsafe self.pointer = unsafe pointer
        self.connection = connection
    }

    var fileSystem: any FileSystem { connection.fileSystem }

    var context: RequestContext { unsafe connection.context(of: pointer) }

    /// To be called once.
    func reply<Answer>() -> Reply<Answer> { unsafe Reply(pointer, on: connection) }

    // The mount is read-only, so the kernel asks for no change; answered in case it was mounted otherwise.
    func refuse(_ error: Int32) {
        connection.note(unsafe fuse_reply_err(pointer, error))
    }

    func close(_ number: UInt64) {
        connection.handles.remove(number)
        connection.note(unsafe fuse_reply_err(pointer, 0))
    }

    func read(_ number: UInt64, _ offset: Int, _ count: Int) {
        let reply: Reply<Bytes> = reply()
        guard let worker = connection.worker, let file = connection.file(number, worker: worker) else {
            return reply.fail(.staleNFSFileHandle)
        }
        let (end, overflows) = offset.addingReportingOverflow(count)
        guard offset >= 0, !overflows else { return reply.fail(.invalidArgument) }
        file.read(offset..<end, worker: worker, reply: reply)
    }

    func readdir(_ number: UInt64, _ offset: Int, _ byteCount: Int, withAttributes: Bool) {
        let page = DirectoryPage(reply(), byteCount: byteCount, withAttributes: withAttributes)
        guard let worker = connection.worker, let directory = connection.directory(number, worker: worker) else {
            return page.fail(.staleNFSFileHandle)
        }
        directory.readdir(from: DirectoryOffset(offset), into: page)
    }
}
