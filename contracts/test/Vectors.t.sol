// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {
    Agreement,
    Checked,
    Fault,
    Locator,
    Penalty,
    Publication,
    Terms,
    VolumeId,
    VolumeKey
} from "../src/types/Types.sol";
import {Fixture} from "./support/Fixture.sol";

/// @title One example of each signed message, in `vectors/eip712.json`, for whoever writes a client.
/// @notice Fixed keys, chain and contract, and signatures by RFC 6979: the file is the same wherever it is made. With
/// `CAIRN_WRITE_VECTORS=true` it is written, else what is committed must be what the contract says.
contract VectorsTest is Fixture {
    string private constant FILE = "vectors/eip712.json";
    VolumeId private _id;
    string private _json;

    function setUp() public override {
        vm.chainId(31337);
        super.setUp();
    }

    function test_the_committed_vectors_are_what_the_contract_says() public {
        VolumeKey memory key = VolumeKey(publisher, provider, POD, 7);
        _id = staking.volumeId(key);
        _json = string.concat('{\n  "domain": {"name": "Cairn Storage Staking", "version": "1", "chainId": 31337, ');
        _add('"verifyingContract": "', vm.toString(address(staking)), '"},\n');
        _add('  "domainSeparator": "', vm.toString(staking.domainSeparator()), '",\n');
        _add('  "keys": {', string.concat(_key("publisher", PUBLISHER_KEY), _key("provider", PROVIDER_KEY)), "");
        _add("", string.concat(_key("signer", SIGNER_KEY), _last(_key("newSigner", NEW_SIGNER_KEY))), "},\n");
        _add('  "volume": {"publisher": "', vm.toString(publisher), '", ');
        _add('"provider": "', vm.toString(provider), '", ');
        _add('"podId": "', vm.toString(POD), '", "index": 7, ');
        _add('"id": "', vm.toString(VolumeId.unwrap(_id)), '"},\n');
        _add('  "planeId": "', vm.toString(VolumeId.unwrap(staking.planeId(signer))), '",\n  "messages": [\n');
        _agreements(key);
        _publications();
        _checks();
        _signers();
        _json = string.concat(_json, "\n  ]\n}\n");

        if (vm.envOr("CAIRN_WRITE_VECTORS", false)) vm.writeFile(FILE, _json);
        vm.assertEq(_json, vm.readFile(FILE), "run contracts/tools/vectors and look at what has changed");
    }

    function _agreements(VolumeKey memory key) private {
        Terms memory terms = Terms({
            token: address(0x1001),
            stake: 1000 ether,
            bond: 10 ether,
            funding: address(0x1002),
            minFunding: 5 ether,
            arbiter: address(0x1003),
            challengeWindow: 3 days,
            cooldown: 1 days,
            grace: 7 days,
            notice: 30 days,
            staleEpochs: 100,
            refundShareBps: 2000,
            equivocation: Penalty.Slash
        });
        Agreement memory agreement =
            Agreement(key.publisher, key.provider, key.podId, key.index, terms, signer, 1_800_000_000);
        string memory fields = string.concat(
            _text("publisher", vm.toString(publisher)),
            _text("provider", vm.toString(provider)),
            _text("podId", vm.toString(POD)),
            _number("index", key.index)
        );
        fields = string.concat(fields, '"terms": {', _termsFields(terms), "}, ");
        fields =
            string.concat(fields, _text("signer", vm.toString(signer)), _last(_number("expires", agreement.expires)));
        _message("Agreement", fields, digests.digestOfAgreement(agreement), PUBLISHER_KEY);
        _message("SignerProof", fields, digests.digestOfSignerProof(agreement), SIGNER_KEY);
    }

    function _termsFields(Terms memory terms) private pure returns (string memory fields) {
        fields = string.concat(
            _text("token", vm.toString(terms.token)),
            _text("stake", vm.toString(uint256(terms.stake))),
            _text("bond", vm.toString(uint256(terms.bond))),
            _text("funding", vm.toString(terms.funding))
        );
        fields = string.concat(
            fields,
            _text("minFunding", vm.toString(uint256(terms.minFunding))),
            _text("arbiter", vm.toString(terms.arbiter)),
            _number("challengeWindow", terms.challengeWindow)
        );
        fields = string.concat(
            fields, _number("cooldown", terms.cooldown), _number("grace", terms.grace), _number("notice", terms.notice)
        );
        fields = string.concat(
            fields,
            _number("staleEpochs", terms.staleEpochs),
            _number("refundShareBps", terms.refundShareBps),
            _last(_number("equivocation", uint256(terms.equivocation)))
        );
    }

    function _publications() private {
        Publication memory one = Publication(_id, 3, 42, _root(42), _root(41));
        Publication memory two = Publication(staking.planeId(signer), 1, 9, _root(9), bytes32(0));
        string memory first = _fields(one);
        string memory second = _fields(two);
        _message("Publication", first, digests.digestOfPublication(one), SIGNER_KEY);
        _message("Publication", second, digests.digestOfPublication(two), SIGNER_KEY);
        Publication[] memory batch = new Publication[](2);
        (batch[0], batch[1]) = (one, two);
        string memory both = string.concat('"publications": [{', first, "}, {");
        both = string.concat(both, second, "}]");
        _message("Batch", both, digests.digestOfBatch(batch), SIGNER_KEY);
        bytes32 nonce = _nonce(3);
        string memory boot =
            string.concat(_volumeField(), _number("boot", 3), _last(_text("nonce", vm.toString(nonce))));
        _message("Boot", boot, digests.digestOfBoot(_id, 3, nonce), SIGNER_KEY);
    }

    function _checks() private {
        Checked memory checked = Checked(_id, 3, 5, 42, _root(42));
        string memory fields = string.concat(_volumeField(), _number("boot", 3), _number("number", 5));
        fields = string.concat(fields, _number("epoch", 42), _text("root", vm.toString(_root(42))));
        _message("Answer", _last(fields), digests.digestOfAnswer(checked), SIGNER_KEY);
        _message("Heal", _last(fields), digests.digestOfHeal(checked), SIGNER_KEY);
        Locator memory locator = Locator(_id, 3, 5, 42, _root(42), "https://provider.example/volume.car");
        string memory place = string.concat(fields, _last(_text("locator", locator.locator)));
        _message("Locator", place, digests.digestOfLocator(locator), SIGNER_KEY);
        Fault memory fault = Fault(_id, 3, 5, 42, _root(42), 40, _root(40));
        fields =
            string.concat(fields, _number("survivingEpoch", 40), _last(_text("survivingRoot", vm.toString(_root(40)))));
        _message("Fault", fields, digests.digestOfFault(fault), SIGNER_KEY);
        fields = string.concat(_volumeField(), _last(_number("number", 5)));
        _message("Receipt", fields, digests.digestOfReceipt(_id, 5), PUBLISHER_KEY);
    }

    function _signers() private {
        string memory tail = string.concat(_number("rotation", 2), _last(_text("signer", vm.toString(newSigner))));
        string memory fields = string.concat(_volumeField(), _number("boot", 3), tail);
        _message("Rotation", fields, digests.digestOfRotation(_id, 3, 2, newSigner), SIGNER_KEY);
        fields = string.concat(_volumeField(), tail);
        _message("Replacement", fields, digests.digestOfReplacement(_id, 2, newSigner), PROVIDER_KEY);
        fields = string.concat(
            _volumeField(),
            _text("toPublisher", vm.toString(uint256(300 ether))),
            _last(_number("expires", 1_800_000_000))
        );
        _message("Settlement", fields, digests.digestOfSettlement(_id, 300 ether, 1_800_000_000), PROVIDER_KEY);
    }

    // ------------------------------------------------------------------------------------------------------ JSON

    function _message(string memory name, string memory fields, bytes32 digest, uint256 key) private {
        bool first = bytes(_json)[bytes(_json).length - 2] == "[";
        if (!first) _json = string.concat(_json, ",\n");
        _add('    {"type": "', name, '", "message": {');
        _add(fields, '},\n     "digest": "', vm.toString(digest));
        _add('", "by": "', vm.toString(vm.addr(key)), '",\n     "signature": "');
        _add("", vm.toString(_sign(key, digest)), '"}');
    }

    function _fields(Publication memory p) private pure returns (string memory fields) {
        fields = string.concat(
            _text("volume", vm.toString(VolumeId.unwrap(p.volume))), _number("boot", p.boot), _number("epoch", p.epoch)
        );
        fields = string.concat(
            fields, _text("root", vm.toString(p.root)), _last(_text("previousRoot", vm.toString(p.previousRoot)))
        );
    }

    function _volumeField() private view returns (string memory) {
        return _text("volume", vm.toString(VolumeId.unwrap(_id)));
    }

    function _key(string memory name, uint256 key) private pure returns (string memory) {
        return _text(name, vm.toString(bytes32(key)));
    }

    function _text(string memory name, string memory value) private pure returns (string memory) {
        return string.concat('"', name, '": "', value, '", ');
    }

    function _number(string memory name, uint256 value) private pure returns (string memory) {
        return string.concat('"', name, '": ', vm.toString(value), ", ");
    }

    /// @dev Without the comma at the end.
    function _last(string memory field) private pure returns (string memory) {
        bytes memory all = bytes(field);
        bytes memory cut = new bytes(all.length - 2);
        for (uint256 i = 0; i < cut.length; i++) {
            cut[i] = all[i];
        }
        return string(cut);
    }

    function _add(string memory before, string memory value, string memory then) private {
        _json = string.concat(_json, before, value, then);
    }
}
