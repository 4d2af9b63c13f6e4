import * as S from './edge.ts'
import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { spawnSync } from 'node:child_process'
const e = await S.startEdge()
const show = async (n: string, p: Promise<S.Posted>) => { const t=performance.now(); try { const r = await p; console.log(n, r.status, r.text.slice(0,150), r.bursts.map(b=>JSON.stringify(S.totals(b))+' '+JSON.stringify(S.requestsOf(b).slice(0,2))).join('|'), 'recbytes', r.records.map(x=>x.value.length).join(), Math.round(performance.now()-t)+'ms') } catch (x) { console.log(n, 'THREW', x, Math.round(performance.now()-t)) } }
const rss = () => spawnSync('ps',['-A','-o','pid,ppid,rss,comm']).stdout.toString().split('\n').filter(l=>l.includes('workerd')).join(';')
await show('good', e.post(S.body(S.request())))
await show('real', e.post(readFileSync(S.DATA+'/drains/heroku.logplex')))
await show('55', e.post(readFileSync(S.DATA+'/logplex-examples.body')))
await show('gzip', e.post(gzipSync(S.body(S.request())), {headers:{'content-encoding':'gzip'}}))
console.log(rss())
const bomb = gzipSync(Buffer.alloc(1_000_000_000), {level:9}); console.log('bomb', bomb.length)
await show('bomb', e.post(bomb, {headers:{'content-encoding':'gzip'}}))
console.log(rss())
await show('bomb2', e.post(bomb, {headers:{'content-encoding':'gzip'}}))
console.log(rss())
await show('trunc gz', e.post(gzipSync(S.body(S.request())).subarray(0,100), {headers:{'content-encoding':'gzip'}}))
await show('garbage gz', e.post('hello', {headers:{'content-encoding':'gzip'}}))
await show('empty gz', e.post('', {headers:{'content-encoding':'gzip'}}))
await show('gz crc', e.post((()=>{const g=gzipSync(S.body(S.request())); g[g.length-6]! ^= 1; return g})(), {headers:{'content-encoding':'gzip'}}))
await show('gz trailing', e.post(Buffer.concat([gzipSync(S.body(S.request())), Buffer.from('xx')]), {headers:{'content-encoding':'gzip'}}))
await show('gz 2members', e.post(Buffer.concat([gzipSync(S.body(S.request())), gzipSync(S.body(S.request()))]), {headers:{'content-encoding':'gzip'}}))
await show('br', e.post('hello', {headers:{'content-encoding':'br'}}))
await show('too big', e.post(Buffer.alloc(1_048_577)))
await show('way too big', e.post(Buffer.alloc(20_048_577)))
const chunks = (n:number)=> new ReadableStream({ async pull(c){ if(n--<=0) c.close(); else c.enqueue(new Uint8Array(65536)) }})
await show('chunked 17', e.post(chunks(17) as any))
await show('chunked 200', e.post(chunks(200) as any))
await show('empty', e.post(''))
await show('empty 3', e.post('', {headers:{'logplex-msg-count':'3'}}))
await show('noauth', e.post('', {headers:{authorization:undefined}}))
await show('noauth big', e.post(Buffer.alloc(20_000_000), {headers:{authorization:undefined}}))
await show('notype', e.post(S.body(S.request()), {headers:{'content-type':undefined}}))
// worst case record
const line = (i:number)=> `<1>1 - h t. router - code=${i.toString(36).padStart(3,'0')}`
const parts: string[] = [S.message('service=1', {time:'1970-01-01T00:00:01Z'}), `<1>1 - h t. router - service=999999999 connect=999999999 bytes=99999999999999 status=999`]
let len = 400; for (let i=0; len < 1_048_000; i++) { parts.push(line(i)); len += line(i).length+3 }
await show('worst '+parts.length, e.post(S.body(...parts)))
const neu: string[]=[]; for (let i=0;i<1;i++) neu.push('x')
// quadratic blanks
for(let i=0;i<5;i++) {await show("bomb again", e.post(bomb, {headers:{"content-encoding":"gzip"}})); console.log(rss())}
const cands = 30000; 
let txt=''; for (let i=0;i<cands;i++) { txt += String(Math.min(999999, (cands*13 - i*13 - 7 + 100))).padStart(6,'0').slice(-6)+' <1>1 ' }
txt += ' '.repeat(390_000)+'x'
await show('blanks', e.post(txt))
// quotes
const q = S.message('x="y '.repeat(13000))
await show('quotes', e.post(S.body(...Array(11).fill(q))))
await e.stop()
