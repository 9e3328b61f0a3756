//! Puts the contracts on a chain.

use super::place::{PATIENCE, within};
use super::terms::TermsFile;
use crate::cli::chain::DeployArgs;
use crate::error::{Error, Result};
use crate::output::{Output, Progress};
use cairn_chain::bindings::token;
use cairn_chain::config::{Gas, Signer};
use cairn_chain::create::{DEPOSIT_FUNDING, STORAGE_STAKING, TEST_TOKEN, creation};
use cairn_chain::{Config, Contract, Finality, Key, Party, Purse, VolumeName};
use cairn_merkle::Cancel;
use ethers_core::abi::{AbiEncode, Token};
use ethers_core::types::{Address, H256, U256};
use ethers_core::utils::keccak256;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

/// `chain deploy`.
pub(super) fn deploy(args: &DeployArgs, out: &Output) -> Result<()> {
    let mut config = configuration(args)?;
    let party = Party::new(
        Contract::unverified(config.chain()?),
        Purse::new(Key::read(&args.key_file)?, config.fees()),
        config.pace(),
    );
    let progress = Progress::spinner(out, "waiting until the chain has settled it");
    let cancel = within(PATIENCE);
    let (staking, block) = create(&party, STORAGE_STAKING, &[], &cancel)?;
    let chain = party.contract().chain();
    config.contract = staking;
    config.from_block = block;
    config.code_hash = Some(H256(keccak256(chain.code(&chain.view()?, staking)?)));
    let mut made = vec![args.write.clone()];
    if args.test_token {
        let (token, _) = create(&party, TEST_TOKEN, &[], &cancel)?;
        let (funding, _) = create(&party, DEPOSIT_FUNDING, &[Token::Address(token)], &cancel)?;
        for account in [config.volume.publisher, config.volume.provider] {
            let call = token::MintCall {
                account,
                amount: U256::exp10(12),
            };
            party.send(Some(token), call.encode().into(), &cancel)?;
        }
        let terms = args.write.with_file_name("terms.toml");
        write_new(&terms, &text(&TermsFile::for_trying_out(token, funding))?)?;
        made.push(terms);
    }
    progress.finish();
    write_new(&args.write, &config.text())?;
    let json = serde_json::json!({ "contract": staking, "block": block, "code_hash": config.code_hash, "wrote": crate::path::Paths::write(&made) });
    out.show(&json, || {
        let names: Vec<_> = made.iter().map(|path| path.display().to_string()).collect();
        format!(
            "the contract is at {staking:?}, since block {block}; wrote {}",
            names.join(" and ")
        )
    })
}

fn configuration(args: &DeployArgs) -> Result<Config> {
    let volume = VolumeName {
        publisher: args.publisher.unwrap_or_default(),
        provider: args.provider.unwrap_or_default(),
        pod: args.pod.unwrap_or_default(),
        index: 0,
    };
    let mut config = Config::new(args.rpc.clone(), 0, Address::zero(), volume);
    config.finality = args
        .confirmations
        .map_or(Finality::Finalized, Finality::Confirmations);
    if args.test_token {
        // A chain of one's own makes blocks as fast as it is asked to.
        config.poll_millis = 200;
    }
    config.signer = args.signer.clone().map(Signer::File);
    config.gas = args.gas.clone().map(Gas::new);
    config.chain_id = cairn_chain::view::chain_id(&config.quorum()?)?;
    Ok(config)
}

/// Creates one contract; where it lies, and since which block.
fn create(party: &Party, code: &str, arguments: &[Token], cancel: &Cancel) -> Result<(Address, u64)> {
    let receipt = party.send(None, creation(code, arguments)?, cancel)?;
    let address = receipt
        .contract_address
        .ok_or_else(|| Error::Usage("the chain created no contract".into()))?;
    Ok((address, receipt.block_number.as_u64()))
}

fn text(terms: &TermsFile) -> Result<String> {
    toml::to_string(terms).map_err(|error| Error::Usage(format!("terms: {error}")))
}

fn write_new(path: &Path, text: &str) -> Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(Error::at("create", path))?;
    file.write_all(text.as_bytes()).map_err(Error::at("write", path))
}
