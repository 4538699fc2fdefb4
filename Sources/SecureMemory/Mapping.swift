// SPDX-License-Identifier: Apache-2.0

internal import SystemCalls
internal import SystemPackage

/// Guarded mapping: whole pages between two that nothing may touch, prepared for secrets.
///
/// Not an owner: `SecureBuffer` is.
@unsafe
struct Mapping {
    let pages: UnsafeMutableRawPointer
    let byteCount: Int
    let backing: SecureBuffer.Backing

    init(byteCount wanted: Int, backing: SecureBuffer.Backing) throws(SecureMemoryError) {
        let page = Memory.pageSize
        let byteCount = max(page, (wanted + page - 1) / page * page)
        if let spare = unsafe SpareMappings.take(byteCount: byteCount, backing: backing) {
            unsafe self = Mapping(pages: spare, byteCount: byteCount, backing: backing)
            return
        }
        do throws(SecureMemoryError) {
            unsafe try self.init(new: byteCount, for: wanted, backing: backing)
        } catch {
            // Spare pages count against the limit of what may be locked.
            guard SpareMappings.release() else { throw error }
            unsafe try self.init(new: byteCount, for: wanted, backing: backing)
        }
    }

    private init(pages: UnsafeMutableRawPointer, byteCount: Int, backing: SecureBuffer.Backing) {
        unsafe self.pages = pages
        unsafe self.byteCount = byteCount
        unsafe self.backing = backing
    }

    private init(new byteCount: Int, for wanted: Int, backing: SecureBuffer.Backing) throws(SecureMemoryError) {
        let page = Memory.pageSize
        let pages: UnsafeMutableRawPointer
        do throws(Errno) {
            unsafe pages = try Memory.reserve(byteCount: byteCount + 2 * page).advanced(by: page)
        } catch {
            throw SecureMemoryError(.unavailable, byteCount: wanted, errno: error)
        }
        do throws(Errno) {
            unsafe self.backing = try Self.prepare(pages, byteCount: byteCount, as: backing)
        } catch {
            unsafe Self.release(pages, byteCount: byteCount)
            throw SecureMemoryError(.notLocked, byteCount: wanted, errno: error)
        }
        unsafe self.pages = pages
        unsafe self.byteCount = byteCount
    }

    /// Puts wiped pages among the spare ones, or unmaps them.
    static func end(_ pages: UnsafeMutableRawPointer, byteCount: Int, backing: SecureBuffer.Backing) {
        guard unsafe !SpareMappings.keep(pages, byteCount: byteCount, backing: backing) else { return }
        unsafe release(pages, byteCount: byteCount)
    }

    /// Unmaps the pages and the guards beside them.
    static func release(_ pages: UnsafeMutableRawPointer, byteCount: Int) {
        let page = Memory.pageSize
        unsafe Memory.unmap(pages.advanced(by: -page), byteCount: byteCount + 2 * page)
    }

    private static func prepare(
        _ pages: UnsafeMutableRawPointer,
        byteCount: Int,
        as backing: SecureBuffer.Backing
    ) throws(Errno) -> SecureBuffer.Backing {
        if backing == .secret, let file = try? Memory.secretFile(byteCount: byteCount),
            (try? unsafe Memory.place(file, at: pages, byteCount: byteCount)) != nil
        {
            // Such pages are locked and never dumped by their nature; wipe-on-fork is for private memory only.
            unsafe try Memory.advise(pages, byteCount: byteCount, .dontFork)
            return .secret
        }
        unsafe try Memory.open(pages, byteCount: byteCount)
        unsafe try Memory.advise(pages, byteCount: byteCount, .dontDump)
        unsafe try Memory.advise(pages, byteCount: byteCount, .wipeOnFork)
        guard backing != .lockedOnFault else {
            unsafe try Memory.lockOnFault(pages, byteCount: byteCount)
            return .lockedOnFault
        }
        unsafe try Memory.lock(pages, byteCount: byteCount)
        return .locked
    }
}
