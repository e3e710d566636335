// SPDX-License-Identifier: UNLICENSED
pragma solidity 0.8.37;

/// Operation codes, and the 32-byte words their `parameters` hold, in order. Codes are for ever: none is reused.
/// Gaps are left for work that has its place in the structure: levels with quorums, custody moves, emergency access, devices.
library Operations {
    uint8 internal constant OPEN = 1; // contentHash, subject, level, origin (transferId or 0), originBlock
    uint8 internal constant RELATE = 2; // party (actor or team), duration s (0: without end)
    uint8 internal constant UNRELATE = 3; // party
    uint8 internal constant AMEND = 4; // expectedVersion, contentHash
    uint8 internal constant QUERY = 5; // version, purpose, ttl s, basis (0: own relation | team address | grantId)
    uint8 internal constant CLOSE = 6; // reason
    uint8 internal constant REOPEN = 7; // reason
    uint8 internal constant GRANT = 8; // grantId, grantee (actor, team or 0), granteeHospital, operations (bit n: code n), purpose (0: any), delay s, duration s, consentHash
    uint8 internal constant REVOKE = 9; // grantId, reason
    // 10 SET_LEVEL

    uint8 internal constant FREEZE = 16; // transferId, version, contentHash
    uint8 internal constant PROPOSE = 17; // transferId, toHospital, version, contentHash, mode, ttl s, proof
    // 18 APPROVE
    uint8 internal constant ACCEPT = 19; // transferId, packageHash
    uint8 internal constant COMPLETE = 20; // transferId
    uint8 internal constant REJECT = 21; // transferId, reason
    uint8 internal constant CANCEL = 22; // transferId, reason
    uint8 internal constant EXPIRE = 23; // transferId
    // 24 MOVE_OUT, 25 MOVE_IN
    uint8 internal constant UNFREEZE = 26; // transferId, outcome, proof

    // 32–39 emergency access, 40–47 devices

    uint8 internal constant REGISTER_ACTOR = 48; // account, roles, custody (0 gateway, 1 self)
    uint8 internal constant SET_ACTOR_STATUS = 49; // account, active
    uint8 internal constant SET_TEAM_MEMBER = 50; // team, member, active

    uint8 internal constant UPDATE_HOSPITAL = 56; // registrar, identityKey, transferKey, transferKeyId, endpointHash
    uint8 internal constant SET_RELAYER = 57; // relayer, active
    uint8 internal constant VOTE_ADMIT = 58; // id, registrar, relayer, identityKey, transferKey, transferKeyId, endpointHash
    uint8 internal constant VOTE_STATUS = 59; // id, active
    uint8 internal constant VOTE_THRESHOLD = 60; // threshold
    uint8 internal constant ANCHOR_LEDGER = 61; // localChainId, block, blockHash, previousSequence, previousHead, localSequence, localHead, accessSequence, accessHead
}

/// Why an act was refused. 0 is success and never in an event.
library Reasons {
    uint8 internal constant MALFORMED = 1; // parameters of the wrong length or out of range
    uint8 internal constant DEADLINE_PASSED = 2;
    uint8 internal constant UNKNOWN_OPERATION = 3;
    uint8 internal constant ACTOR_UNKNOWN = 4; // not registered by the relaying hospital
    uint8 internal constant ACTOR_SUSPENDED = 5;
    uint8 internal constant ROLE_MISSING = 6;
    uint8 internal constant RECORD_UNKNOWN = 7;
    uint8 internal constant RECORD_EXISTS = 8;
    uint8 internal constant RECORD_CLOSED = 9;
    uint8 internal constant RECORD_FROZEN = 10;
    uint8 internal constant NOT_CUSTODIAN = 11;
    uint8 internal constant NO_RELATION = 12; // neither relation nor grant covers the act
    uint8 internal constant VERSION_STALE = 13; // not the expected or not an existing version
    uint8 internal constant LEVEL_ASKS_MORE = 14; // the record's security level wants more than was shown
    uint8 internal constant GRANT_UNKNOWN = 15;
    uint8 internal constant GRANT_EXISTS = 16;
    uint8 internal constant GRANT_INACTIVE = 17; // revoked, not yet or no longer valid, or for something else
    uint8 internal constant CONSENT_MISSING = 18;
    uint8 internal constant TRANSFER_UNKNOWN = 19;
    uint8 internal constant TRANSFER_LIVE = 20; // the record already has a live transfer
    uint8 internal constant TRANSFER_STATE = 21; // not possible in the transfer's state
    uint8 internal constant TRANSFER_PARTY = 22; // the actor's hospital is not the party this step belongs to
    uint8 internal constant TRANSFER_EXPIRED = 23;
    uint8 internal constant CONTENT_MISMATCH = 24; // the hash is not the record's
    uint8 internal constant NOT_SUPPORTED = 25;
    uint8 internal constant HOSPITAL_UNKNOWN = 26;
    uint8 internal constant HOSPITAL_EXISTS = 27;
    uint8 internal constant ACTOR_EXISTS = 28;
    uint8 internal constant RELATION_UNKNOWN = 29;
    uint8 internal constant NOT_REGISTRAR = 30;
    uint8 internal constant ALREADY_SO = 31; // the state asked for is the state it has
    uint8 internal constant PURPOSE_MISSING = 32;
    uint8 internal constant ANCHOR_BROKEN = 33; // not a continuation of the hospital's last anchor of that network
}

/// Role bits of an actor.
library Roles {
    uint16 internal constant CLINICIAN = 1;
    uint16 internal constant RECORDS_OFFICER = 2;
    uint16 internal constant PRIVACY_OFFICER = 4;
    uint16 internal constant PATIENT = 8;
    uint16 internal constant DEVICE = 16;
    uint16 internal constant ADMIN = 32;
    uint16 internal constant AUDITOR = 64;
}
