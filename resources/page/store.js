// What stays in the browser: conversations in localStorage, the texts of documents in IndexedDB, which takes long ones.

const kConversations = 'longspan.conversations', kSettings = 'longspan.settings', kMost = 100;

function read(name, fallback) {
  try {
    return JSON.parse(localStorage.getItem(name)) ?? fallback;
  } catch {
    return fallback;
  }
}

export const settings = () => read(kSettings, {});
export const setSettings = changes => localStorage.setItem(kSettings, JSON.stringify({...settings(), ...changes}));

/// Newest first: {id, time, title, documents: [{id, name, tokens}], turns: [{role, text, ...}]}
export function conversations() {
  const all = read(kConversations, []);
  return Array.isArray(all) ? all : [];
}

export function keep(conversation) {
  let all = [conversation, ...conversations().filter(c => c.id !== conversation.id)].slice(0, kMost);
  for (;; all = all.slice(0, -1)) {
    try {
      return localStorage.setItem(kConversations, JSON.stringify(all));
    } catch (error) {
      if (all.length <= 1) throw error;  // the oldest make room
    }
  }
}

export function forget(id) {
  localStorage.setItem(kConversations, JSON.stringify(conversations().filter(c => c.id !== id)));
}

let opened;
function database() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open('longspan', 1);
    request.onupgradeneeded = () => request.result.createObjectStore('texts');
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

async function texts(mode, use) {
  const store = (await database()).transaction('texts', mode).objectStore('texts');
  return new Promise((resolve, reject) => {
    const request = use(store);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

export const keepText = (id, text) => texts('readwrite', store => store.put(text, id));
export const textOf = id => texts('readonly', store => store.get(id));

/// Removes texts that no conversation knows, but these.
export async function tidy(used) {
  const known = new Set([...used, ...conversations().flatMap(c => c.documents.map(d => d.id))]);
  for (const id of await texts('readonly', store => store.getAllKeys()))
    if (!known.has(id)) await texts('readwrite', store => store.delete(id));
}

/// A name for a text: cyrb53, public domain; crypto.subtle is missing where a page comes over plain HTTP.
export function idOf(text) {
  let a = 0xdeadbeef, b = 0x41c6ce57;
  for (let i = 0; i < text.length; ++i) {
    const c = text.charCodeAt(i);
    a = Math.imul(a ^ c, 2654435761);
    b = Math.imul(b ^ c, 1597334677);
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
  return (4294967296 * (2097151 & b) + (a >>> 0)).toString(36) + '-' + text.length.toString(36);
}
