// Reads a CAR with readers that are not Cairn's, rehashes every block and walks every link to completeness.
//
//   node read.mjs FILE.car [BASE.car ...]      prints: root, commit, blocks, bytes; ends with 1 and a reason if anything is wrong
//
// Blocks of a CAR made since an older version may lie in the bases.
import { createReadStream } from 'node:fs'
import { CarBlockIterator } from '@ipld/car/iterator'
import * as dagCbor from '@ipld/dag-cbor'
import { blake3 } from '@noble/hashes/blake3.js'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'

const BLAKE3 = 0x1e

function fail(reason) {
  console.error(reason)
  process.exit(1)
}

// Every block of a file, rehashed; only the links are kept, so that a file of any size can be read.
async function read(path, links) {
  const car = await CarBlockIterator.fromIterable(createReadStream(path))
  let bytes = 0
  for await (const { cid, bytes: block } of car) {
    if (cid.version !== 1 || cid.multihash.code !== BLAKE3) fail(`${cid} is not named by BLAKE3`)
    const digest = blake3(block)
    if (!Buffer.from(digest).equals(Buffer.from(cid.multihash.digest))) fail(`${cid} is not what was written`)
    if (links.has(cid.toString())) fail(`${cid} is there twice`)
    bytes += block.length
    if (cid.code === raw.code) {
      links.set(cid.toString(), [])
    } else if (cid.code === dagCbor.code) {
      const node = dagCbor.decode(block)
      if (!Buffer.from(dagCbor.encode(node)).equals(Buffer.from(block))) fail(`${cid} is not canonical dag-cbor`)
      // Version, then links: the same in volume blocks, commit blocks and nodes. No link stands anywhere else.
      const found = node.flat(Infinity).filter((part) => CID.asCID(part) !== null)
      if (node[0] !== 1 || found.length !== node[1].length) fail(`${cid} has links that are not in its list`)
      links.set(cid.toString(), found.map(String))
    } else {
      fail(`${cid} has codec 0x${cid.code.toString(16)}`)
    }
  }
  return { roots: await car.getRoots(), bytes }
}

const [path, ...bases] = process.argv.slice(2)
const links = new Map()
const { roots, bytes } = await read(path, links)
const own = links.size
if (roots.length !== 1) fail(`${roots.length} roots`)
const root = roots[0].toString()
for (const base of bases) {
  const older = new Map()
  await read(base, older)
  for (const [cid, below] of older) links.has(cid) || links.set(cid, below)
}
const met = new Set([root])
const waiting = [root]
while (waiting.length > 0) {
  const cid = waiting.pop()
  if (!links.has(cid)) fail(`${cid} is missing`)
  for (const below of links.get(cid)) {
    if (!met.has(below)) {
      met.add(below)
      waiting.push(below)
    }
  }
}
if (bases.length === 0 && met.size !== own) fail(`${own - met.size} blocks that no link leads to`)
console.log(`root ${root} commit ${links.get(root)[0]} blocks ${own} bytes ${bytes}`)
