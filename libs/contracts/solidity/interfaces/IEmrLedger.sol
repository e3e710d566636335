// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

/// @title The ledger of acts on electronic medical records
/// @notice One contract serves a hospital's local network and the consortium's global network alike. Every act arrives as
/// an actor-signed `Intent`, packed into `execute` by a hospital's relayer. An act ends in exactly one of: its success
/// event, `AccessDenied` (both sequenced), or an unsequenced notice (`BadSignature`, `Duplicate`, `Mismatch`).
///
/// Every sequenced event has the same frame, so that one fixed layout decodes all of them:
///   topics: signature, sequence, recordId (0 when the act concerns no record), actor
///   data:   requestId, recordSequence, recordHead, authContext, hospital, then the words of the event itself
/// `recordSequence` counts the record's own events from 1; `recordHead` is the record's head *before* this event. Both are
/// 0 for events without an existing record. `hospital` is the hospital of the relayer that carried the act (0 at deployment).
///
/// leaf       = keccak256(topics ‖ data)            block and time left out: the same history has the same leaves anywhere
/// head       = keccak256(previous head, sequence, leaf)             each as one 32-byte word
/// recordHead = keccak256(previous recordHead, recordSequence, leaf)
interface IEmrLedger {
    /// @param operation one of the codes of `Operations`
    /// @param requestId HMAC over the caller's idempotency key: opaque, unique within the hospital
    /// @param recordId first 4 bytes: the hospital of origin; the other 28 are random. 0 for acts without a record
    /// @param parameters 32-byte words, their number fixed by the operation (layouts in `Operations`)
    /// @param actor who acts, and whose EIP-712 signature this carries
    /// @param deadline unix seconds; later, the act is denied
    /// @param authContext salted commitment to the token the act was asked for with
    /// @param signature r ‖ s ‖ v over the EIP-712 digest, s in the lower half order, v 27 or 28
    struct Intent {
        uint8 operation;
        bytes32 requestId;
        bytes32 recordId;
        bytes parameters;
        address actor;
        uint64 deadline;
        bytes32 authContext;
        bytes signature;
    }

    /// @param id non-zero; also the first 4 bytes of every record the hospital opens
    /// @param registrar key that registers actors and votes; not a relayer
    /// @param relayers addresses that may call `execute`
    /// @param identityKey Ed25519 public key: signs gateway-to-gateway requests and packages
    /// @param transferKey X25519 public key (RFC 9180): transfers to this hospital are sealed to it
    /// @param transferKeyId version of `transferKey`
    /// @param endpointHash SHA-256 of the peer endpoint's URL
    struct HospitalEntry {
        uint32 id;
        address registrar;
        address[] relayers;
        bytes32 identityKey;
        bytes32 transferKey;
        uint32 transferKeyId;
        bytes32 endpointHash;
    }

    /// The caller is no active relayer of an active hospital: only a broken or foreign gateway can cause it.
    error UnknownRelayer(address caller);
    error EmptyBatch();
    /// At deployment: id 0 or taken, no registrar, no relayer, or a relayer that is already somebody's.
    error InvalidHospitalEntry(uint32 id);
    /// At deployment: none, or more than there are founding hospitals.
    error InvalidThreshold(uint32 threshold);

    // --- unsequenced ---------------------------------------------------------------------------------------------

    /// Ends every `execute` and the deployment: the sequence and head reached.
    event Head(uint64 sequence, bytes32 head);
    /// The act at `position` of this batch carried no valid signature of its actor. Nothing was consumed.
    event BadSignature(address indexed relayer, uint256 position);
    /// The act was already decided at `sequence`. No effect.
    event Duplicate(bytes32 indexed requestId, uint256 position, uint64 sequence);
    /// The id was already used for a different act (at `sequence`). No effect.
    event Mismatch(bytes32 indexed requestId, uint256 position, uint64 sequence);

    // --- refusals ------------------------------------------------------------------------------------------------

    event AccessDenied(uint64 indexed sequence, bytes32 indexed recordId, address indexed actor, bytes32 requestId,
        uint64 recordSequence, bytes32 recordHead, bytes32 authContext, uint32 hospital, uint8 operation, uint8 reason);

    // --- hospitals and actors ------------------------------------------------------------------------------------

    event HospitalRegistered(uint64 indexed sequence, bytes32 indexed recordId, address indexed actor, bytes32 requestId,
        uint64 recordSequence, bytes32 recordHead, bytes32 authContext, uint32 hospital, uint32 id, address registrar,
        bytes32 identityKey, bytes32 transferKey, uint32 transferKeyId, bytes32 endpointHash);
    /// A hospital's own registrar changed its keys or endpoint.
    event HospitalUpdated(uint64 indexed sequence, bytes32 indexed recordId, address indexed actor, bytes32 requestId,
        uint64 recordSequence, bytes32 recordHead, bytes32 authContext, uint32 hospital, uint32 id, address registrar,
        bytes32 identityKey, bytes32 transferKey, uint32 transferKeyId, bytes32 endpointHash);
    event HospitalStatusChanged(uint64 indexed sequence, bytes32 indexed recordId, address indexed actor, bytes32 requestId,
        uint64 recordSequence, bytes32 recordHead, bytes32 authContext, uint32 hospital, uint32 id, bool active);
    event RelayerChanged(uint64 indexed sequence, bytes32 indexed recordId, address indexed actor, bytes32 requestId,
        uint64 recordSequence, bytes32 recordHead, bytes32 authContext, uint32 hospital, uint32 id, address relayer, bool active);
    /// One hospital's vote on a governed change; `votes` of `threshold` are in.
    event VoteCast(uint64 indexed sequence, bytes32 indexed recordId, address indexed actor, bytes32 requestId,
        uint64 recordSequence, bytes32 recordHead, bytes32 authContext, uint32 hospital, bytes32 change, uint32 votes, uint32 threshold);
    event ActorRegistered(uint64 indexed sequence, bytes32 indexed recordId, address indexed actor, bytes32 requestId,
        uint64 recordSequence, bytes32 recordHead, bytes32 authContext, uint32 hospital, address account, uint16 roles, uint8 custody);
    event ActorStatusChanged(uint64 indexed sequence, bytes32 indexed recordId, address indexed actor, bytes32 requestId,
        uint64 recordSequence, bytes32 recordHead, bytes32 authContext, uint32 hospital, address account, bool active);
    event TeamMemberChanged(uint64 indexed sequence, bytes32 indexed recordId, address indexed actor, bytes32 requestId,
        uint64 recordSequence, bytes32 recordHead, bytes32 authContext, uint32 hospital, address team, address member, bool active);

    // --- records -------------------------------------------------------------------------------------------------

    event RecordOpened(uint64 indexed sequence, bytes32 indexed recordId, address indexed actor, bytes32 requestId,
        uint64 recordSequence, bytes32 recordHead, bytes32 authContext, uint32 hospital, uint32 version, bytes32 contentHash,
        uint8 level, address subject, bytes32 origin, bytes32 originBlock);
    event RecordAmended(uint64 indexed sequence, bytes32 indexed recordId, address indexed actor, bytes32 requestId,
        uint64 recordSequence, bytes32 recordHead, bytes32 authContext, uint32 hospital, uint32 version, bytes32 contentHash,
        bytes32 previousHash);
    event RecordQueried(uint64 indexed sequence, bytes32 indexed recordId, address indexed actor, bytes32 requestId,
        uint64 recordSequence, bytes32 recordHead, bytes32 authContext, uint32 hospital, uint32 version, uint16 purpose,
        uint32 ttl, bytes32 basis);
    event RecordClosed(uint64 indexed sequence, bytes32 indexed recordId, address indexed actor, bytes32 requestId,
        uint64 recordSequence, bytes32 recordHead, bytes32 authContext, uint32 hospital, uint16 reason);
    event RecordReopened(uint64 indexed sequence, bytes32 indexed recordId, address indexed actor, bytes32 requestId,
        uint64 recordSequence, bytes32 recordHead, bytes32 authContext, uint32 hospital, uint16 reason);

    // --- relations and grants ------------------------------------------------------------------------------------

    /// @param until unix seconds of block time; 0: without end
    event RelationStarted(uint64 indexed sequence, bytes32 indexed recordId, address indexed actor, bytes32 requestId,
        uint64 recordSequence, bytes32 recordHead, bytes32 authContext, uint32 hospital, address party, uint64 until);
    event RelationEnded(uint64 indexed sequence, bytes32 indexed recordId, address indexed actor, bytes32 requestId,
        uint64 recordSequence, bytes32 recordHead, bytes32 authContext, uint32 hospital, address party);
    event AccessGranted(uint64 indexed sequence, bytes32 indexed recordId, address indexed actor, bytes32 requestId,
        uint64 recordSequence, bytes32 recordHead, bytes32 authContext, uint32 hospital, bytes32 grantId, address grantee,
        uint32 granteeHospital, uint32 operations, uint16 purpose, uint64 notBefore, uint64 notAfter, bytes32 consentHash);
    event AccessRevoked(uint64 indexed sequence, bytes32 indexed recordId, address indexed actor, bytes32 requestId,
        uint64 recordSequence, bytes32 recordHead, bytes32 authContext, uint32 hospital, bytes32 grantId, uint16 reason);

    // --- transfers -----------------------------------------------------------------------------------------------

    event RecordFrozen(uint64 indexed sequence, bytes32 indexed recordId, address indexed actor, bytes32 requestId,
        uint64 recordSequence, bytes32 recordHead, bytes32 authContext, uint32 hospital, bytes32 transferId, uint32 version,
        bytes32 contentHash);
    /// @param outcome 0 completed, 1 rejected, 2 cancelled, 3 expired. @param proof block hash on the global network
    event RecordUnfrozen(uint64 indexed sequence, bytes32 indexed recordId, address indexed actor, bytes32 requestId,
        uint64 recordSequence, bytes32 recordHead, bytes32 authContext, uint32 hospital, bytes32 transferId, uint8 outcome,
        bytes32 proof);
    /// @param mode 0 copy, 1 move. @param proof block hash of the freeze on the source's local network
    event TransferProposed(uint64 indexed sequence, bytes32 indexed recordId, address indexed actor, bytes32 requestId,
        uint64 recordSequence, bytes32 recordHead, bytes32 authContext, uint32 hospital, bytes32 transferId, uint32 toHospital,
        uint32 version, bytes32 contentHash, uint8 mode, uint64 expiresAt, bytes32 proof);
    event TransferAccepted(uint64 indexed sequence, bytes32 indexed recordId, address indexed actor, bytes32 requestId,
        uint64 recordSequence, bytes32 recordHead, bytes32 authContext, uint32 hospital, bytes32 transferId, bytes32 packageHash);
    event TransferCompleted(uint64 indexed sequence, bytes32 indexed recordId, address indexed actor, bytes32 requestId,
        uint64 recordSequence, bytes32 recordHead, bytes32 authContext, uint32 hospital, bytes32 transferId);
    event TransferRejected(uint64 indexed sequence, bytes32 indexed recordId, address indexed actor, bytes32 requestId,
        uint64 recordSequence, bytes32 recordHead, bytes32 authContext, uint32 hospital, bytes32 transferId, uint16 reason);
    event TransferCancelled(uint64 indexed sequence, bytes32 indexed recordId, address indexed actor, bytes32 requestId,
        uint64 recordSequence, bytes32 recordHead, bytes32 authContext, uint32 hospital, bytes32 transferId, uint16 reason);
    event TransferExpired(uint64 indexed sequence, bytes32 indexed recordId, address indexed actor, bytes32 requestId,
        uint64 recordSequence, bytes32 recordHead, bytes32 authContext, uint32 hospital, bytes32 transferId);

    // --- anchors -------------------------------------------------------------------------------------------------

    /// How far the hospital's own ledger with `localChainId` and its access log have come. The events of that ledger behind
    /// `previousSequence`, folded onto `previousHead`, lead to `localHead` at `localSequence`, in or before `block`.
    /// @param block number of a final block of that ledger, after which it had this sequence and head
    /// @param accessSequence entries of the hospital's access log; `accessHead` is the fold of them all
    event LedgerAnchored(uint64 indexed sequence, bytes32 indexed recordId, address indexed actor, bytes32 requestId,
        uint64 recordSequence, bytes32 recordHead, bytes32 authContext, uint32 hospital, uint64 localChainId, uint64 block,
        bytes32 blockHash, uint64 previousSequence, bytes32 previousHead, uint64 localSequence, bytes32 localHead,
        uint64 accessSequence, bytes32 accessHead);

    // --- calls ---------------------------------------------------------------------------------------------------

    /// Carries out each intent in order; none can revert another. Ends with `Head`.
    function execute(Intent[] calldata intents) external;

    /// The ledger's sequence and head.
    function head() external view returns (uint64 sequence, bytes32 hash);

    /// The record's own sequence and head.
    function recordHead(bytes32 recordId) external view returns (uint64 sequence, bytes32 hash);

    /// What was decided for a hospital's requestId: its sequence (0: nothing yet).
    function requestSequence(uint32 hospital, bytes32 requestId) external view returns (uint64 sequence);

    /// EIP-712 domain separator of this deployment.
    function domainSeparator() external view returns (bytes32);
}
